"""SQLAlchemy and Django through the proxy in transaction pooling, with their own defaults."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.proxied import Proxied, heard_from

HOST = "127.0.0.1"

# SQLAlchemy ----------------------------------------------------------------------------------------------------------


def url(proxied: Proxied, driver: str) -> str:
    proxy = proxied.proxy
    return f"postgresql+{driver}://{proxy.user}@{HOST}:{proxy.pg_port}/{proxy.database}"


def models(suffix: str) -> tuple[Any, Any, Any]:
    """A base with two classes whose tables are of this test alone."""
    sa = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")
    base = orm.declarative_base()
    author: Any = type("Author", (base,), {
        "__tablename__": f"author_{suffix}", "id": sa.Column(sa.Integer, primary_key=True),
        "name": sa.Column(sa.String(40), unique=True), "books": orm.relationship("Volume", back_populates="author"),
    })  # fmt: skip
    volume: Any = type("Volume", (base,), {
        "__tablename__": f"volume_{suffix}", "id": sa.Column(sa.Integer, sa.Identity(), primary_key=True),
        "title": sa.Column(sa.Text, nullable=False), "author_id": sa.Column(sa.ForeignKey(f"author_{suffix}.id")),
        "author": orm.relationship("Author", back_populates="books"),
    })  # fmt: skip
    return base, author, volume


def test_sqlalchemy_orm_and_core(proxied: Proxied) -> None:
    sa = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")
    base, author, volume = models("sync")
    engine = sa.create_engine(url(proxied, "psycopg"))
    base.metadata.drop_all(engine)
    base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([
            author(name=f"a{n}", books=[volume(title=f"t{n}{m}") for m in range(3)]) for n in range(50)
        ])  # fmt: skip
        session.commit()
        found = session.scalars(
            sa.select(author).options(orm.selectinload(author.books)).where(author.name < "a2").order_by(author.id)
        ).all()  # fmt: skip
        assert [book.title for book in found[1].books] == ["t10", "t11", "t12"]
        assert session.execute(sa.update(volume).where(volume.id > 140).values(title="x")).rowcount == 10
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.add(author(name="a1"))
            session.flush()
        session.commit()
        streamed = session.execute(sa.select(volume.id).order_by(volume.id).execution_options(yield_per=20))
        assert [row[0] for row in streamed] == list(range(1, 151))
    automatic = engine.execution_options(isolation_level="AUTOCOMMIT")

    def ask() -> int:
        with automatic.connect() as connection:
            counted = sa.select(sa.func.count(), sa.func.inet_server_port()).select_from(volume)
            return int(connection.execute(counted).one()[1])

    assert heard_from(ask, proxied.ports) == proxied.ports
    inspector = sa.inspect(engine)
    assert [column["name"] for column in inspector.get_columns("volume_sync")] == ["id", "title", "author_id"]
    assert inspector.get_foreign_keys("volume_sync")[0]["referred_table"] == "author_sync"
    engine.dispose()
    assert proxied.truth("SELECT count(*), max(id) FROM volume_sync") == [(150, 150)]


def test_sqlalchemy_over_asyncpg(proxied: Proxied) -> None:
    sa = pytest.importorskip("sqlalchemy")
    pytest.importorskip("greenlet")
    asyncio_ = pytest.importorskip("sqlalchemy.ext.asyncio")
    base, author, volume = models("async")

    async def run() -> None:
        engine = asyncio_.create_async_engine(url(proxied, "asyncpg"), pool_size=8)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(base.metadata.drop_all)
                await connection.run_sync(base.metadata.create_all)

            async def add(number: int) -> None:
                async with asyncio_.AsyncSession(engine) as session:
                    session.add(author(id=number, name=f"n{number}", books=[volume(title="t")]))
                    await session.commit()
                    names = sa.select(author.name).where(author.id == number)
                    assert await session.scalar(names) == f"n{number}"

            await asyncio.gather(*(add(number) for number in range(1, 41)))
            async with engine.connect() as connection:
                result = await connection.stream(sa.select(author.id).order_by(author.id))
                assert [row[0] async for row in result] == list(range(1, 41))
        finally:
            await engine.dispose()

    asyncio.run(run())
    assert proxied.truth("SELECT count(*) FROM volume_async") == [(40,)]


# Django --------------------------------------------------------------------------------------------------------------

SETTINGS = """
import os
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"],
                         "USER": os.environ["PGUSER"], "HOST": "127.0.0.1", "PORT": os.environ["PGPORT"],
                         "DISABLE_SERVER_SIDE_CURSORS": os.environ["NO_CURSORS"] == "yes",
                         "OPTIONS": {"options": "-c search_path=django_shop"}}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"]
SECRET_KEY = "secret"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "America/Chicago"
"""

MODELS = """
from django.db import models

class Maker(models.Model):
    name = models.CharField(max_length=40, unique=True)

class Product(models.Model):
    maker = models.ForeignKey(Maker, models.CASCADE, related_name="products")
    name = models.CharField(max_length=40, db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    made_at = models.DateTimeField()
"""

WORK = """
import os, time
from datetime import UTC, datetime
from decimal import Decimal
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F
from django.db.models.functions import TruncMonth
from shop.models import Maker, Product

makers = Maker.objects.bulk_create([Maker(name=name) for name in ("acme", "brown")])
Product.objects.bulk_create([
    Product(maker=makers[n % 2], name=f"p{n}", price=Decimal(n + 1) / 2,
            made_at=datetime(2024, 1 + n % 3, 1, 5, tzinfo=UTC)) for n in range(12)
])
dear = Product.objects.filter(maker__name__icontains="ACME", price__gte=3).order_by("-price")
assert [product.name for product in dear] == ["p10", "p8", "p6"]
months = Product.objects.annotate(month=TruncMonth("made_at")).values("month").annotate(n=Count("id")).order_by("month")
assert [(one["month"].strftime("%Y-%m-%d %z"), one["n"]) for one in months] == [
    ("2023-12-01 -0600", 4), ("2024-01-01 -0600", 4), ("2024-02-01 -0600", 4)]
assert Product.objects.filter(name="p1").update(price=F("price") + 1) == 1
assert Product.objects.get(name="p1").price == 2
made, is_new = Maker.objects.get_or_create(name="acme")
assert not is_new
try:
    with transaction.atomic():
        Product.objects.filter(name="p3").update(maker_id=99)
        connection.check_constraints()
    raise SystemExit("the deferred key was not checked")
except IntegrityError:
    pass
User.objects.create_superuser("root", "root@example.org", "secret")
with transaction.atomic():
    assert User.objects.select_for_update().get(is_superuser=True).username == "root"
# Outside of a block the cursor of an iterator is WITH HOLD.
for size in (5, 3):
    iterator = Product.objects.order_by("pk").iterator(chunk_size=size)
    first = next(iterator).name
    assert Maker.objects.count() == 2
    assert (first, len(list(iterator))) == ("p0", 11)
makers[0].delete()
assert Product.objects.count() == 6
ports, deadline = set(), time.monotonic() + 20
while len(ports) < int(os.environ["NODES"]) and os.environ["NO_CURSORS"] and time.monotonic() < deadline:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inet_server_port(), current_setting('search_path')")
        port, path = cursor.fetchone()
        assert path == "django_shop"
        ports.add(port)
print("ports", sorted(ports))
"""


@pytest.mark.parametrize("cursors", [True, False])
def test_django(proxied: Proxied, tmp_path: Path, cursors: bool) -> None:
    pytest.importorskip("django")
    proxied.prepare("DROP SCHEMA IF EXISTS django_shop CASCADE", "CREATE SCHEMA django_shop")
    package = tmp_path / "shop"
    (package / "migrations").mkdir(parents=True)
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    (package / "models.py").write_text(MODELS)
    for init in (package / "__init__.py", package / "migrations" / "__init__.py"):
        init.write_text("")
    lines = [
        "import django", "from django.core.management import call_command as call", "django.setup()",
        'call("makemigrations", "shop")', 'call("migrate", no_color=True)', WORK,
    ]  # fmt: skip
    environment = proxied.proxy.environment() | {
        "DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": str(tmp_path), "NO_CURSORS": "" if cursors else "yes",
        "NODES": str(len(proxied.ports)), "HOME": os.environ.get("HOME", "/"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, env=environment, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Applying shop.0001_initial... OK" in done.stdout
    # A cursor that was WITH HOLD keeps its session with one backend.
    assert cursors or f"ports {sorted(proxied.ports)}" in done.stdout
    assert proxied.truth("SELECT count(*) FROM django_shop.shop_product") == [(6,)]
