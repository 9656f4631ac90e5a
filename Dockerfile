# HeliosDB Nano, its proxy and its shell in one image:
#
#   docker build -t heliosdb-nano:ha .
#   docker run -e HELIOSDB_INITIAL_PASSWORD=... -p 5432:5432 -v data:/data heliosdb-nano:ha
#
# The environment sets a node up: every setting is HELIOSDB_<NAME> (docs/CLI.md). A node without a password, or without a
# cluster's secret, listens on loopback inside its container, and says so.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/heliosdb
ENV PATH=/opt/heliosdb/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock requirements-build.lock ./
RUN pip install --quiet --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY helios_cli helios_cli
COPY playbooks playbooks
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --only-binary :all: --require-hashes -r requirements-build.lock \
    && /opt/build/bin/python -m hatchling build --target wheel --directory /wheel \
    && pip install --quiet --no-deps /wheel/*.whl

FROM python:${PYTHON}-slim-bookworm AS base
# curl: what the health checks of proxies and many tools call.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 helios \
    && useradd --uid 10001 --gid helios --home-dir /data --shell /usr/sbin/nologin helios \
    && install --directory --owner helios --group helios --mode 0700 /data \
    && install --directory --owner helios --group helios --mode 0750 /etc/heliosdb
COPY --from=build /opt/heliosdb /opt/heliosdb
COPY --chmod=0755 deploy/entrypoint.sh /usr/local/bin/entrypoint.sh
ENV PATH=/opt/heliosdb/bin:$PATH PYTHONUNBUFFERED=1 HELIOSDB_DATA_DIR=/data HELIOSDB_LISTEN_ADDRESS=0.0.0.0
WORKDIR /data
VOLUME /data
EXPOSE 5432 5433 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["heliosdb-nano", "health"]
USER helios
ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]
CMD ["start"]

# With psql and nc, to look at the nodes of a cluster from inside its network.
FROM base AS tools
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client netcat-openbsd \
    && rm -rf /var/lib/apt/lists/*
USER helios

FROM base AS node
LABEL org.opencontainers.image.title="HeliosDB Nano" \
    org.opencontainers.image.description="A replicated SQLite that speaks the PostgreSQL wire protocol" \
    org.opencontainers.image.licenses="Apache-2.0"
