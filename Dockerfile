# Belfry as one image, for one machine (`docker run`) and for ECS alike. Builds with BuildKit and with the legacy builder.
#
#   docker build --tag belfry .
#   docker run --publish 3000:3000 --volume belfry:/data belfry

FROM node:26-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No package needs a script of its own to be built, and the development dependency `node` would download what this image is made of.
RUN npm ci --ignore-scripts
COPY tsconfig.json rolldown.config.ts ./
COPY src src
RUN node node_modules/rolldown/bin/cli.mjs --config rolldown.config.ts

FROM node:26-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# What Belfry needs at run time is a dependency by name: peers and optional ones would bring what only development uses.
# Types and source maps of packages are almost half of their size, and nothing reads them here.
RUN npm ci --ignore-scripts --omit=dev --omit=peer --omit=optional \
  && find node_modules -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' \) -delete

FROM node:26-bookworm-slim
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
# A new volume takes over the owner of what it covers.
RUN mkdir /data && chown 1000:1000 /data
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
USER 1000:1000
VOLUME /data
EXPOSE 3000
# Alive, not ready: a store that is away for a minute is no reason to restart what waits for it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health/live').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Belfry" \
  org.opencontainers.image.description="Schedules a message for a group and delivers it, at that moment, to every subscriber" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.base.name="docker.io/library/node:26-bookworm-slim"
# The base image's entry point execs it, so that it is process 1 and gets SIGTERM itself.
CMD ["node", "--enable-source-maps", "dist/main.js"]
