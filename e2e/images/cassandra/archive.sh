#!/usr/bin/env bash
# Writes one docker-archive with an image for each release in ./versions, and some that are broken on purpose
# (cassandra:crash, one for each fault of faulty/), and cassandra:plugins, a release with classes of a user's. An archive is a
# tar of layer tars, of one JSON configuration an image, and of a manifest that ties them together: written by hand it needs no
# daemon, holds the shared base layer once, and the same content always gives the same digests.
set -euo pipefail

base=${1:?usage: archive.sh BASE.tar OUT.tar}
out=${2:?usage: archive.sh BASE.tar OUT.tar}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/archive"

reproducible_tar() { # reproducible_tar DIR FILE
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$1" -cf "$2" .
}

layer() { # layer FILE: takes the tar into the archive, and prints its digest
  local digest
  digest=$(sha256sum "$1" | cut -d ' ' -f 1)
  mv "$1" "$work/archive/$digest.tar"
  echo "$digest"
}

quoted() { # quoted PREFIX SUFFIX WORD...: the words as items of a JSON list
  local word separator=
  for word in "${@:3}"; do
    printf '%s"%s%s%s"' "$separator" "$1" "$word" "$2"
    separator=,
  done
}

image() { # image TAG RELEASE FAULT LAYER...: adds the configuration of one image, and its line of the manifest
  local tag=$1 release=$2 fault=$3 id
  shift 3
  cat >"$work/config.json" <<JSON
{
  "architecture": "$(dpkg --print-architecture)",
  "os": "linux",
  "created": "1970-01-01T00:00:00Z",
  "config": {
    "Env": [
      "PATH=/opt/cassandra/bin:/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "LANG=C.UTF-8",
      "JAVA_HOME=/opt/java/openjdk",
      "CASSANDRA_HOME=/opt/cassandra",
      "CASSANDRA_CONF=/etc/cassandra",
      "FAULT=$fault",
      "CASSANDRA_VERSION=$release"
    ],
    "Entrypoint": ["docker-entrypoint.sh"],
    "Cmd": ["cassandra", "-f"],
    "ExposedPorts": { "7000/tcp": {}, "7001/tcp": {}, "7199/tcp": {}, "9042/tcp": {}, "9160/tcp": {} },
    "Volumes": { "/var/lib/cassandra": {} }
  },
  "rootfs": { "type": "layers", "diff_ids": [$(quoted sha256: '' "$@")] }
}
JSON
  id=$(sha256sum "$work/config.json" | cut -d ' ' -f 1)
  mv "$work/config.json" "$work/archive/$id.json"
  printf '{"Config":"%s.json","RepoTags":["localhost/cassandra:%s"],"Layers":[%s]}\n' \
    "$id" "$tag" "$(quoted '' .tar "$@")" >>"$work/images"
}

release_layer() { # release_layer RELEASE: configuration, scripts and jars, in the layout of the stock image
  local root=$work/$1
  mkdir "$root"
  cp -r "$here/common/." "$here/${1%.*}/." "$root/"
  mvn --quiet --batch-mode --strict-checksums --file "$here/pom.xml" dependency:copy-dependencies \
    -Dcassandra.version="$1" -DincludeScope=runtime -DoutputDirectory="$root/opt/cassandra/lib" >&2
  chmod -R u=rwX,go=rX "$root"
  chmod 1777 "$root/etc/cassandra"
  chmod 666 "$root"/etc/cassandra/*
  reproducible_tar "$root" "$work/layer.tar"
  rm -r "$root"
  layer "$work/layer.tar"
}

# What a user adds to the image of a release, and may forget in the next one. Cassandra loads triggers from a folder of their own.
plugins_layer() { # plugins_layer RELEASE-LAYER
  local root=$work/plugins jars=$work/jars classes=$work/classes
  local triggers=$root/etc/cassandra/triggers
  mkdir -p "$root/opt/cassandra/lib" "$triggers" "$jars"
  tar -C "$jars" -xf "$work/archive/$1.tar" ./opt/cassandra/lib
  javac --release 11 -proc:none -cp "$jars/opt/cassandra/lib/*" -d "$classes" "$here"/plugins/*.java >&2
  plugin() { jar --create --date 1980-01-01T00:00:02Z --file "$1" -C "$classes" "com/example/$2.class"; }
  plugin "$root/opt/cassandra/lib/words.jar" Words
  plugin "$triggers/audit.jar" Audit
  chmod -R u=rwX,go=rX "$root"
  chmod 1777 "$root/etc/cassandra"
  reproducible_tar "$root" "$work/layer.tar"
  rm -r "$jars" "$classes" "$root"
  layer "$work/layer.tar"
}

ln "$base" "$work/base.tar"
base_layer=$(layer "$work/base.tar")

with_plugins=4.1.10
while read -r release; do
  echo "cassandra $release" >&2
  layers=("$base_layer" "$(release_layer "$release")")
  image "$release" "$release" '' "${layers[@]}"
  [ "$release" != "$with_plugins" ] || image plugins "$release" '' "${layers[@]}" "$(plugins_layer "${layers[1]}")"
done <"$here/versions"

# On top of the last release.
cp -r "$here/crash" "$work/crash"
chmod -R u=rwX,go=rX "$work/crash"
reproducible_tar "$work/crash" "$work/layer.tar"
image crash "$release" '' "${layers[@]}" "$(layer "$work/layer.tar")"
cp -r "$here/faulty" "$work/faulty"
cp "$here/common/opt/cassandra/bin/cassandra" "$work/faulty/opt/cassandra/bin/cassandra-as-released"
chmod -R u=rwX,go=rX "$work/faulty"
reproducible_tar "$work/faulty" "$work/layer.tar"
layers+=("$(layer "$work/layer.tar")")
for fault in killed unstarted hungry; do
  image "$fault" "$release" "$fault" "${layers[@]}"
done

{ echo '['; paste -sd , "$work/images"; echo ']'; } >"$work/archive/manifest.json"
reproducible_tar "$work/archive" "$out"
