#!/usr/bin/env bash
# Writes the root file system that all Cassandra test images share: Debian, a Java runtime and the cassandra user.
# shellcheck disable=SC2016 # what is quoted runs inside of the new system
set -euo pipefail

out=${1:?usage: base.sh FILE.tar}

# The user of the stock image, and the folders its storage and its logs are linked to.
user_and_folders='
  groupadd --gid 999 cassandra
  useradd --uid 999 --gid 999 --no-create-home --shell /bin/bash cassandra
  mkdir -p /opt/java /opt/cassandra
  ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")" /opt/java/openjdk
  ln -s /etc/cassandra /opt/cassandra/conf
  ln -s /var/lib/cassandra /opt/cassandra/data
  ln -s /var/log/cassandra /opt/cassandra/logs
  install -d -o cassandra -g cassandra -m 1777 /etc/cassandra /var/lib/cassandra /var/log/cassandra
'

# What the image can do without: Perl, which only served to lay out /usr during the installation, classes for heaps above
# 32 GB, symbols for a compiler, public authorities (in a store that holds the time it was made; Cassandra trusts the
# stores in its configuration), and what the installation left behind.
leftovers='
  dpkg --purge usrmerge libfile-find-rule-perl libnumber-compare-perl libtext-glob-perl \
    perl perl-modules-5.36 libperl5.36
  rm -rf /usr/lib/jvm/*/lib/server/classes_nocoops.jsa /usr/lib/jvm/*/lib/ct.sym /etc/ssl/certs/java/cacerts
  rm -rf /usr/share/man /usr/share/fonts /var/log/apt /var/log/*.log
'

# A fixed date makes the archive, and so the digest of the layer, depend on the packages alone. The JRE's install
# script links into the man pages that are left out here, hence the empty folder for them. usr-is-merged takes over from
# usrmerge, so that Perl can go.
SOURCE_DATE_EPOCH=0 mmdebstrap \
  --format=tar \
  --variant=essential \
  --include=openjdk-17-jre-headless,procps,passwd,usr-is-merged \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --extract-hook='mkdir -p "$1/usr/share/man/man1"' \
  --customize-hook="chroot \"\$1\" sh -euc '$user_and_folders $leftovers'" \
  bookworm "$out"
