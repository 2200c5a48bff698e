#!/usr/bin/env bash
# Makes localstack/localstack:4.14.0 where no image can be pulled: LocalStack from its Python package, DynamoDB Local from
# Maven, on Debian's Python and JRE. Everything is downloaded by this machine's own pip, mvn and apt, with the settings they
# have here; `docker build` itself needs no network. Idempotent, and a second build takes what it can from the cache.
#
#   docker/localstack/build.sh           make the image unless it is there
#   docker/localstack/build.sh --force   make it again (downloads are still taken from the cache)
#
#   LOCALSTACK_IMAGE   the tag                   (localstack/localstack:4.14.0)
#   BELFRY_CACHE       where downloads are kept  (/var/cache/belfry)
#
# Needs docker, and root where a Debian package is missing. An image of that name without this recipe's mark, which is what a
# pulled one is, is left as it is.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
IMAGE=${LOCALSTACK_IMAGE:-localstack/localstack:4.14.0}
CACHE=${BELFRY_CACHE:-/var/cache/belfry}
LABEL=belfry.localstack.recipe
SUITE=trixie PYTHON=3.13 # not bookworm: LocalStack 4.14 is written for Python >= 3.12, although its package installs on 3.11 too
DEBIAN_PACKAGES=python3,openjdk-21-jre-headless,procps
# Of LocalStack's dependencies, those that only services use which Belfry does not: Kinesis clients, OpenSearch, the aws command
NOT_NEEDED='awscli|grpcio|kclpy-ext|opensearch-protobufs|opensearch-py|protobuf'
SOURCE_ONLY='airspeed-ext|crontab|jsonpath-rw' # no wheel in the registry; pure Python, so any Python makes the same one
case $(uname -m) in x86_64 | aarch64) ARCH=$(uname -m) ;; *) echo "localstack: no wheels for $(uname -m)" >&2; exit 2 ;; esac

hash_of() { cat "$@" | sha256sum | cut -c1-16; }
RECIPE=$(cd "$HERE" && hash_of build.sh Dockerfile first_run.py requirements.txt pom.xml)

T0=$EPOCHREALTIME T=$T0
step() {
  local now=$EPOCHREALTIME
  printf 'localstack: %-34s %6d ms\n' "$1" $((${now/./} / 1000 - ${T/./} / 1000))
  T=$now
}
fail() { echo "localstack: $*" >&2; exit 1; }

docker info >/dev/null 2>&1 || fail "Docker does not answer; start it first."

# Ends the script where there is nothing to make.
leave_if_made() {
  local have
  have=$(docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE" 2>/dev/null) || return 0
  case $have in
    "$RECIPE") echo "localstack: $IMAGE is there, recipe $RECIPE"; exit 0 ;;
    '' | '<no value>') echo "localstack: $IMAGE is there and is not from this recipe: left as it is"; exit 0 ;;
  esac
}
[[ ${1:-} == --force ]] || leave_if_made

# One build at a time: two would write the same cache. Whoever waited may find it done.
mkdir -p "$CACHE"
exec 9>"$CACHE/localstack.lock"
flock 9
[[ ${1:-} == --force ]] || leave_if_made

need=()
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || need+=(python3)
python3 -m pip --version >/dev/null 2>&1 || need+=(python3-pip)
command -v mvn >/dev/null || need+=(maven)
command -v mmdebstrap >/dev/null || need+=(mmdebstrap)
if ((${#need[@]})); then
  apt-get update -qq || echo "localstack: apt-get update had errors, going on with what it has" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
  step "apt: ${need[*]}"
fi

CONTEXT=$(mktemp -d "$CACHE/context.XXXXXX") # beside the cache, so that its files can be linked, not copied
trap 'rm -rf "$CONTEXT"' EXIT

# A part of the cache is made beside its place and renamed into it: one that is there is whole.
# usage: cached NAME FUNCTION; the function is given the folder to fill
cached() {
  local dir=$CACHE/$1
  if [[ ! -d $dir ]]; then
    rm -rf "$dir.part" && mkdir -p "$dir.part"
    "$2" "$dir.part"
    mv "$dir.part" "$dir"
    step "downloaded $1"
  fi
}

# --- Debian: from where this machine's apt gets its own release, whatever release and wherever that is
debian_sources() {
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
    awk -F'|' -v suite="$SUITE" '$1 == "Debian" && $4 == "main" && match($3, /(-updates|-security)?$/) && substr($3, 1, RSTART - 1) ~ /^[a-z]+$/ {
      print "deb " $2 " " suite substr($3, RSTART) " main" }' | sort -u
}
debian_root() {
  debian_sources >"$1/sources.list"
  [[ -s $1/sources.list ]] || { apt-get update -qq || true; debian_sources >"$1/sources.list"; }
  [[ -s $1/sources.list ]] || fail "apt has no Debian source here"
  # dpkg syncs after each package: work in memory where there is a tmpfs that allows it
  local tmp=${TMPDIR:-/tmp}
  if [[ $(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1) -gt 2000000 ]] && ! findmnt -no OPTIONS /dev/shm | grep -qE 'noexec|nodev'; then tmp=/dev/shm; fi
  # openjdk's post-install step wants the folder of the manual pages, although they are left out
  TMPDIR=$tmp mmdebstrap --quiet --variant=minbase --include="$DEBIAN_PACKAGES" --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --setup-hook='mkdir -p "$1/usr/share/man/man1"' \
    --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*' \
    "$SUITE" "$1/root.tar" "$1/sources.list" 2>"$CACHE/mmdebstrap.log" || { tail -n 20 "$CACHE/mmdebstrap.log" >&2; fail "mmdebstrap failed"; }
  rm "$1/sources.list"
}

# --- Python: wheels for the image's Python and architecture, whichever Python runs pip here
pip() { PIP_ROOT_USER_ACTION=ignore python3 -m pip --disable-pip-version-check --quiet "$@"; }
TARGET=(--python-version "$PYTHON" --implementation cp --only-binary=:all: --no-deps)
for tag in manylinux_2_36 manylinux_2_35 manylinux_2_34 manylinux_2_31 manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux_2_17 manylinux2014 manylinux_2_12 manylinux2010 manylinux_2_5 manylinux1; do
  TARGET+=(--platform "${tag}_$ARCH")
done
packages() {
  local wheels=$1/.wheels
  mkdir "$wheels"
  grep -E "^($SOURCE_ONLY)==" "$HERE/requirements.txt" >"$wheels/source.txt"
  grep -vE "^($SOURCE_ONLY|$NOT_NEEDED)==" "$HERE/requirements.txt" >"$wheels/binary.txt"
  pip wheel --no-deps --wheel-dir "$wheels" --requirement "$wheels/source.txt"
  pip download "${TARGET[@]}" --dest "$wheels" --requirement "$wheels/binary.txt"
  pip install "${TARGET[@]}" --no-index --find-links "$wheels" --no-compile --no-warn-script-location --target "$1" \
    --requirement "$wheels/source.txt" --requirement "$wheels/binary.txt"
  rm -r "$wheels"
}

# --- Java: DynamoDB Local with its dependencies, native libraries among them
jars() {
  cp "$HERE/pom.xml" "$1/pom.xml"
  mvn --batch-mode --quiet --file "$1/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1" >"$CACHE/mvn.log" 2>&1 ||
    { tail -n 20 "$CACHE/mvn.log" >&2; fail "mvn failed"; }
  rm "$1/pom.xml"
}

ROOT=debian-$SUITE-$ARCH-$(echo "$DEBIAN_PACKAGES" | hash_of)
PACKAGES=python-$PYTHON-$ARCH-$(echo "$NOT_NEEDED" | hash_of "$HERE/requirements.txt" -)
JARS=jars-$(hash_of "$HERE/pom.xml")
cached "$ROOT" debian_root
cached "$PACKAGES" packages
cached "$JARS" jars

# --- The context
cp "$HERE/Dockerfile" "$HERE/first_run.py" "$CONTEXT/"
ln "$CACHE/$ROOT/root.tar" "$CONTEXT/root.tar"
cp -al "$CACHE/$PACKAGES" "$CONTEXT/python"
mkdir "$CONTEXT/bin"
sed '1s|.*|#!/usr/bin/python3|' "$CONTEXT/python/bin/localstack-supervisor" >"$CONTEXT/bin/localstack-supervisor" # pip wrote this machine's Python
chmod 755 "$CONTEXT/bin/localstack-supervisor"
rm -r "$CONTEXT/python/bin"

DDB=$CONTEXT/localstack/dynamodb-local/2
mkdir -p "$DDB/DynamoDBLocal_lib"
ln "$CACHE/$JARS"/* "$DDB/DynamoDBLocal_lib/"
mv "$DDB"/DynamoDBLocal_lib/byte-buddy-agent-*.jar "$DDB/ddb-local-loader-0.1.jar"
python3 - "$DDB" <<'PY'
"""DynamoDBLocal.jar: only a manifest that names every jar beside it, and a quiet log setting before theirs."""
import os, sys, zipfile

home = sys.argv[1]
jars = sorted(name for name in os.listdir(f"{home}/DynamoDBLocal_lib") if name.endswith(".jar"))
class_path = "Class-Path: " + " ".join(f"DynamoDBLocal_lib/{name}" for name in jars)
# a manifest's line has at most 72 bytes; the next begins with a space
lines = [class_path[:70]] + [" " + class_path[at : at + 69] for at in range(70, len(class_path), 69)]
manifest = ["Manifest-Version: 1.0", "Main-Class: com.amazonaws.services.dynamodbv2.local.main.ServerRunner", *lines, ""]
log4j = """<Configuration status="WARN"><Appenders><Console name="Console" target="SYSTEM_OUT">
<PatternLayout pattern="%d{HH:mm:ss.SSS} [%t] %-5level %logger{36} - %msg%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="Console"/></Root></Loggers></Configuration>
"""
with zipfile.ZipFile(f"{home}/DynamoDBLocal.jar", "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", "\r\n".join(manifest))
    jar.writestr("log4j2.xml", log4j)
PY
step "context"

docker build --quiet --force-rm --label "$LABEL=$RECIPE" --tag "$IMAGE" "$CONTEXT" >"$CACHE/docker-build.log" 2>&1 ||
  { tail -n 20 "$CACHE/docker-build.log" >&2; fail "docker build failed"; }
step "docker build"
T=$T0
step "$IMAGE, $(($(docker image inspect -f '{{.Size}}' "$IMAGE") / 1000000)) MB, in all"
