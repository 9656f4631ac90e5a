"""Statements that the node carries out itself: transaction control, SET and SHOW, cursors, COPY, PREPARE ..."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.node import (
    claims,
    consistency,
    constraint_times,
    cursors,
    explain,
    identity,
    maintenance,
    prepared,
)
from helios_cli.engine.node.databases import Alone
from helios_cli.engine.node.message_levels import is_wanted
from helios_cli.engine.replication import relations
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.ddl_database import ChangeDatabase
from helios_cli.engine.sql.plan import Column, Plan
from helios_cli.engine.sql.utility import TOPOLOGY
from helios_cli.engine.sql.variables import LISTED
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session

TEXT_OID = 25
Handler = Callable[["Session", Any, "Portal", int], bool]


TRANSACTIONAL: Final = (
    actions.SetVariable, actions.ResetVariable, actions.Listen, actions.Unlisten, actions.Notify
)  # fmt: skip
"""Utility statements whose effect is undone with the transaction, the implicit one of a pipeline too."""


def allowed_in_failed(plan: Plan) -> bool:
    """Whether a statement may run in a transaction that has failed: only those that end it or go back."""
    ends = actions.Commit | actions.Rollback | actions.RollbackTo | actions.PrepareTransaction
    return isinstance(plan.action, ends)


def run(session: Session, portal: Portal, rows_max: int) -> bool:
    """Carry a utility statement out, as :class:`~helios_cli.engine.node.runner.Runner` says."""
    action = portal.plan.action
    handler = _HANDLERS.get(type(action))
    if handler is None:
        raise FeatureNotSupported(f"{portal.plan.tag} is not supported")
    return handler(session, action, portal, rows_max)


def run_write(session: Session, portal: Portal) -> bool:
    """Run a write or DDL; in a pipeline or a multi-statement query inside its implicit transaction."""
    plan = portal.plan
    if isinstance(plan.action, ChangeDatabase):
        return Alone(session, portal, plan.action).start()
    if plan.action is not None:
        return maintenance.run_role_action(session, portal)
    return session.runner.write(portal)


def send_text_rows(session: Session, portal: Portal, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Answer with a small result of text columns."""
    plan = portal.plan
    if plan.columns is None:
        plan.columns = tuple(Column(name, TEXT_OID) for name in names)
    portal.send_description()
    if 0 < portal.rows_max <= len(rows):
        portal.rows = list(rows)
        session.runner.send_kept_rows(portal, portal.rows_max)
        return
    session.out.append(portal.encoder()(rows))
    session.out.append(backend.command_complete(plan.tag))
    portal.done = True


def complete(session: Session, portal: Portal, tag: str | None = None) -> bool:
    """Answer with the command tag alone."""
    session.out.append(backend.command_complete(tag or portal.plan.tag))
    portal.done = True
    return True


def warn(session: Session, message: str, sqlstate: str) -> None:
    """Send a WARNING, unless the client wants errors alone."""
    if is_wanted(session, "WARNING"):
        session.out.append(backend.notice_response(SqlError(message, sqlstate=sqlstate), severity="WARNING"))


# Transaction control ---------------------------------------------------------------------------------------------


def _begin(session: Session, action: actions.Begin, portal: Portal, _rows_max: int) -> bool:
    transaction = session.transaction
    if transaction is not None and transaction.explicit:
        warn(session, "there is already a transaction in progress", "25001")
        return complete(session, portal)
    if transaction is not None:
        transaction.explicit = True
        if not transaction.started:
            transaction.isolation = action.isolation or transaction.isolation
            transaction.read_only = transaction.read_only if action.read_only is None else action.read_only
    else:
        session.begin(
            explicit=True, isolation=action.isolation, read_only=action.read_only, deferrable=action.deferrable
        )
    return complete(session, portal)


def _commit(session: Session, action: actions.Commit, portal: Portal, _rows_max: int) -> bool:
    transaction = session.transaction
    if transaction is None or not transaction.explicit:
        if action.chain:
            raise SqlError("COMMIT AND CHAIN can only be used in transaction blocks", sqlstate="25P01")
        warn(session, "there is no transaction in progress", "25P01")
        if transaction is None:
            return complete(session, portal)
    portal.done = True
    failed = transaction.failed
    if failed and transaction.lost is not None:
        # It was lost with the primary while the client had the word, and hears of it only now.
        session.runner.rollback(transaction)
        raise transaction.lost
    failure = cursors.failure_of_held(session) if not failed else None
    if failure is not None:
        session.undo_variables(committed=False)
        session.runner.rollback(transaction)
        raise failure
    chained = (transaction.isolation, transaction.read_only, transaction.deferrable)

    def done() -> None:
        session.out.append(backend.command_complete("ROLLBACK" if failed else "COMMIT"))
        if action.chain:
            session.begin(explicit=True, isolation=chained[0], read_only=chained[1], deferrable=chained[2])

    def later() -> None:
        done()
        session.finished()

    if session.write_id is not None and transaction.explicit and (transaction.writing or failed):
        transaction.claim = claims.of_block(session)
    if failed:
        session.undo_variables(committed=False)
    end = session.runner.roll_back if failed else session.runner.commit
    if end(transaction, later):
        done()
        return True
    return False


def _rollback(session: Session, action: actions.Rollback, portal: Portal, _rows_max: int) -> bool:
    transaction = session.transaction
    if transaction is None or not transaction.explicit:
        if action.chain:
            raise SqlError("ROLLBACK AND CHAIN can only be used in transaction blocks", sqlstate="25P01")
        warn(session, "there is no transaction in progress", "25P01")
    if transaction is None:
        return complete(session, portal, "ROLLBACK")
    portal.done = True
    chained = (transaction.isolation, transaction.read_only, transaction.deferrable)

    def done() -> None:
        session.out.append(backend.command_complete("ROLLBACK"))
        if action.chain:
            session.begin(explicit=True, isolation=chained[0], read_only=chained[1], deferrable=chained[2])

    def later() -> None:
        done()
        session.finished()

    if session.write_id is not None and (transaction.writing or transaction.failed):
        claims.take(session)
    session.undo_variables(committed=False)
    if session.runner.roll_back(transaction, later):
        done()
        return True
    return False


def _prepare_transaction(session: Session, _action: Any, portal: Portal, rows_max: int) -> bool:
    """PREPARE TRANSACTION as PostgreSQL answers it with max_prepared_transactions = 0, its default."""
    transaction = session.transaction
    if transaction is None or not transaction.explicit or transaction.failed:
        return _rollback(session, actions.Rollback(), portal, rows_max)
    portal.done = True
    session.undo_variables(committed=False)
    session.runner.rollback(transaction)
    hint = "Set max_prepared_transactions to a nonzero value."
    raise SqlError("prepared transactions are disabled", sqlstate="55000", hint=hint)


def _end_prepared(session: Session, action: actions.EndPrepared, _portal: Portal, _rows_max: int) -> bool:
    if session.transaction is not None and session.transaction.explicit:
        word = "COMMIT" if action.committed else "ROLLBACK"
        raise SqlError(f"{word} PREPARED cannot run inside a transaction block", sqlstate="25001")
    message = f'prepared transaction with identifier "{action.gid}" does not exist'
    raise SqlError(message, sqlstate="42704")


def _needs_block(session: Session, what: str) -> Any:
    transaction = session.transaction
    if transaction is None or not transaction.explicit:
        raise SqlError(f"{what} can only be used in transaction blocks", sqlstate="25P01")
    return transaction


def _savepoint(session: Session, action: actions.Savepoint, portal: Portal, _rows_max: int) -> bool:
    _needs_block(session, "SAVEPOINT").savepoint(
        action.name,
        (
            len(session.undo),
            len(session.channel_actions),
            frozenset(session.cursors),
            session.engine.advisory.count_in_transaction(session),
            session.engine.large_objects.count(session.pid),
            session.deferred.mark(),
        ),
    )
    return complete(session, portal)


def _release(session: Session, action: actions.Release, portal: Portal, _rows_max: int) -> bool:
    _needs_block(session, "RELEASE SAVEPOINT").release(action.name)
    return complete(session, portal)


def _rollback_to(session: Session, action: actions.RollbackTo, portal: Portal, _rows_max: int) -> bool:
    sets, channel_actions, names, locks, opened, waiting = _needs_block(session, "ROLLBACK TO SAVEPOINT").rollback_to(
        action.name
    )
    session.undo_variables(committed=False, since=sets)
    del session.channel_actions[channel_actions:]
    session.deferred.restore(waiting)
    session.engine.advisory.end_transaction(session, since=locks)
    session.engine.large_objects.close_since(session.pid, opened)
    for name in [name for name in session.cursors if name not in names]:
        session.runner.close_portal(session.cursors.pop(name))
    if session.transaction is not None and session.transaction.schema is not None:
        session.schema_changed_in_transaction()
        session.forget_undone_plans()
    return complete(session, portal)


def _set_transaction(session: Session, action: actions.SetTransaction, portal: Portal, _rows_max: int) -> bool:
    if action.snapshot is not None:
        raise FeatureNotSupported("SET TRANSACTION SNAPSHOT is not supported")
    if action.session:
        if action.isolation is not None:
            session.set_variable("default_transaction_isolation", action.isolation)
        if action.read_only is not None:
            session.set_variable("default_transaction_read_only", "on" if action.read_only else "off")
        if action.deferrable is not None:
            session.set_variable("default_transaction_deferrable", "on" if action.deferrable else "off")
        return complete(session, portal)
    transaction = session.transaction
    if transaction is None:
        warn(session, "SET TRANSACTION can only be used in transaction blocks", "25P01")
        return complete(session, portal)
    if action.isolation is not None and action.isolation != transaction.isolation:
        if transaction.started:
            raise SqlError("SET TRANSACTION ISOLATION LEVEL must be called before any query", sqlstate="25001")
        transaction.isolation = action.isolation
    if action.read_only is not None:
        if not action.read_only and transaction.read_only and transaction.savepoints:
            raise SqlError("cannot set transaction read-write mode inside a read-only transaction", sqlstate="25001")
        if not action.read_only and transaction.read_only and transaction.started:
            raise SqlError("transaction read-write mode must be set before any query", sqlstate="25001")
        transaction.read_only = action.read_only
    if action.deferrable is not None:
        transaction.deferrable = action.deferrable
    return complete(session, portal)


# Variables ---------------------------------------------------------------------------------------------------------


def computed_variable(session: Session, folded: str) -> str | None:
    """Parameters whose value is the session's state; None for all others."""
    transaction = session.transaction
    if folded == "transaction_deferrable":
        deferrable = transaction.deferrable if transaction else session.show("default_transaction_deferrable") == "on"
        return "on" if deferrable else "off"
    if folded == "transaction_isolation":
        return transaction.isolation if transaction else session.show("default_transaction_isolation")
    if folded == "transaction_read_only":
        if not session.engine.takes_writes:
            return "on"
        if transaction is None:
            return session.show("default_transaction_read_only")
        return "on" if transaction.read_only else "off"
    if folded == "session_authorization":
        return session.session_name or session.user
    if folded == "is_superuser":
        return "on" if session.acting.unrestricted else "off"
    if folded == "helios.lsn":
        return str(consistency.seen(session))
    return None


def _set(session: Session, action: actions.SetVariable, portal: Portal, _rows_max: int) -> bool:
    folded = action.name.lower()
    if folded == "transaction_deferrable" and action.value is not None:
        deferrable = action.value.lower() in ("on", "true", "yes", "1")
        return _set_transaction(session, actions.SetTransaction(deferrable=deferrable), portal, 0)
    if folded in ("transaction_isolation", "transaction_read_only") and action.value is not None:
        isolation = action.value if folded.endswith("isolation") else None
        read_only = None if isolation else action.value.lower() in ("on", "true", "yes", "1")
        return _set_transaction(session, actions.SetTransaction(isolation, read_only), portal, 0)
    session.set_variable(action.name, action.value, local=action.local)
    if action.local and not session.in_transaction:
        unheard = SqlError("SET LOCAL can only be used in transaction blocks", sqlstate="25P01")
        session.out.append(backend.notice_response(unheard, severity="WARNING"))
    return complete(session, portal)


def _reset(session: Session, action: actions.ResetVariable, portal: Portal, _rows_max: int) -> bool:
    for name in [action.name] if action.name is not None else _resettable(session):
        session.set_variable(name, None)
    return complete(session, portal)


def _resettable(session: Session) -> list[str]:
    """What RESET ALL goes back to the default of: not as whom statements run."""
    return [name for name in session.variables if name not in identity.NAMES]


def _show(session: Session, action: actions.Show, portal: Portal, _rows_max: int) -> bool:
    if action.name is not None:
        send_text_rows(session, portal, (action.name,), [(session.show(action.name),)])
        return True
    rows = [(variable.name, session.show(variable.name), variable.description) for variable in LISTED]
    send_text_rows(session, portal, ("name", "setting", "description"), rows)
    return True


def _show_topology(session: Session, _action: actions.ShowTopology, portal: Portal, _rows_max: int) -> bool:
    view = session.engine.cluster_view
    found = relations.helios_topology(view()) if view is not None else ()
    rows = [tuple(row[column.name] for column in TOPOLOGY) for row in found]
    portal.send_description()
    session.out.append(portal.encoder()(rows))
    return complete(session, portal)


def _discard(session: Session, action: actions.Discard, portal: Portal, _rows_max: int) -> bool:
    if action.what.lower() == "all":
        if session.transaction is not None and session.transaction.explicit:
            raise SqlError("DISCARD ALL cannot run inside a transaction block", sqlstate="25001")
        session.statements.clear()
        if session.forwarded is not None:
            session.forwarded.deallocated(None)
        session.engine.channels.unlisten(None, session)
        session.engine.advisory.unlock_all(session)
        session.cursors.clear()
        for name in list(session.variables):
            session.set_variable(name, None)
    if action.what.lower() in ("all", "temp", "temporary"):
        if session.private is not None and session.transaction is not None:
            raise FeatureNotSupported(
                "DISCARD TEMP cannot run inside a transaction block once there are temporary tables",
                hint="Drop the tables, or discard them after the transaction.",
            )
        session.drop_temporary()
    if action.what.lower() in ("all", "sequences"):
        session.engine.sequences.forget_session(session.pid)
    return complete(session, portal)


def _nothing(session: Session, _action: Any, portal: Portal, _rows_max: int) -> bool:
    return complete(session, portal)


def _lock_table(session: Session, action: actions.LockTable, portal: Portal, rows_max: int) -> bool:
    transaction = _needs_block(session, "LOCK TABLE")
    if session.restricted or portal.plan.guarded:
        session.check_rights(portal.plan)
    if transaction.writing or transaction.read_only or action.mode in ("ACCESS SHARE", "ROW SHARE"):
        return complete(session, portal)
    if action.nowait and session.engine.queue.holder is not None:
        raise SqlError(f'could not obtain lock on relation "{action.tables[0]}"', sqlstate="55P03")
    return session.runner.with_writer(lambda: session.retry(portal, rows_max))


_HANDLERS: dict[type, Handler] = {
    actions.Begin: _begin,
    actions.Commit: _commit,
    actions.Rollback: _rollback,
    actions.Savepoint: _savepoint,
    actions.Release: _release,
    actions.RollbackTo: _rollback_to,
    actions.PrepareTransaction: _prepare_transaction,
    actions.EndPrepared: _end_prepared,
    actions.SetTransaction: _set_transaction,
    actions.SetVariable: _set,
    actions.ResetVariable: _reset,
    actions.Show: _show,
    actions.ShowTopology: _show_topology,
    actions.Discard: _discard,
    actions.SetConstraints: constraint_times.set_constraints,
    actions.LockTable: _lock_table,
    actions.Prepare: prepared.prepare,
    actions.Execute: prepared.execute,
    actions.Deallocate: prepared.deallocate,
    actions.DeclareCursor: cursors.declare,
    actions.Fetch: cursors.fetch,
    actions.CloseCursor: cursors.close,
    actions.Explain: explain.explain,
    actions.Vacuum: maintenance.vacuum,
    actions.Checkpoint: maintenance.checkpoint,
    actions.AlterSystem: maintenance.alter_system,
    actions.Listen: maintenance.listen,
    actions.Unlisten: maintenance.unlisten,
    actions.Notify: maintenance.notify,
    actions.CopyIn: maintenance.copy_in,
    actions.CopyOut: maintenance.copy_out,
}
