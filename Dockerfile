# PostgreSQL with pgmaint, on the official image:
#
#   docker build --tag pgmaint .
#   docker build --build-arg PG_MAJOR=16 --tag pgmaint:16 .
#
# pgmaint needs no configuration: CREATE EXTENSION pgmaint in the databases that
# it is to maintain.  pg_cron is there for those who want it, and asks for
# shared_preload_libraries=pg_cron.

ARG PG_MAJOR=17

FROM postgres:${PG_MAJOR} AS build

RUN apt-get update \
	&& apt-get install -y --no-install-recommends build-essential libcurl4-openssl-dev \
		libdeflate-dev libxml2-dev libzstd-dev zlib1g-dev "postgresql-server-dev-$PG_MAJOR" \
	&& rm -rf /var/lib/apt/lists/*

WORKDIR /usr/src/pgmaint
COPY . .

RUN export PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" \
	&& make -j"$(nproc)" \
	&& make install DESTDIR=/installed \
	&& install -D -m 644 LICENSE /installed/usr/share/doc/pgmaint/LICENSE

FROM postgres:${PG_MAJOR}

LABEL org.opencontainers.image.title="pgmaint" \
	org.opencontainers.image.description="PostgreSQL with database maintenance from inside the server" \
	org.opencontainers.image.licenses="PostgreSQL"

RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates libcurl4 libdeflate0 libxml2 libzstd1 zlib1g \
		"postgresql-$PG_MAJOR-cron" \
	&& rm -rf /var/lib/apt/lists/*

COPY --from=build /installed/ /
