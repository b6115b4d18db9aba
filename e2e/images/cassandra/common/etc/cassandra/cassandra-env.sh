# Sourced by the cassandra script, which has put the options of the jvm*-server.options files into JVM_OPTS.

# The heap. Unless told, its size comes from the memory of the node, whatever the limit of the container.
if [ -z "${MAX_HEAP_SIZE:-}${HEAP_NEWSIZE:-}" ]; then
  memory=$(free -m | awk '/^Mem:/ { print $2 }')
  half=$((memory / 2 < 1024 ? memory / 2 : 1024))
  quarter=$((memory / 4 < 8192 ? memory / 4 : 8192))
  MAX_HEAP_SIZE=$((half > quarter ? half : quarter))M
  HEAP_NEWSIZE=$((${MAX_HEAP_SIZE%M} / 4))M
elif grep -qs '^-XX:+UseConcMarkSweepGC' "$CASSANDRA_CONF/jvm11-server.options"; then
  # Stock images of this release line run on Java 11 with CMS, where one of the two alone ends the start.
  if [ -z "${MAX_HEAP_SIZE:-}" ] || [ -z "${HEAP_NEWSIZE:-}" ]; then
    echo "set MAX_HEAP_SIZE and HEAP_NEWSIZE together, or none of them" >&2
    exit 1
  fi
fi
[ -z "${MAX_HEAP_SIZE:-}" ] || JVM_OPTS="$JVM_OPTS -Xms$MAX_HEAP_SIZE -Xmx$MAX_HEAP_SIZE"
# G1 sizes the young generation by itself: HEAP_NEWSIZE counts for other collectors only.
case "$JVM_OPTS" in
*UseG1GC*) ;;
*) [ -z "${HEAP_NEWSIZE:-}" ] || JVM_OPTS="$JVM_OPTS -Xmn$HEAP_NEWSIZE" ;;
esac

JVM_OPTS="$JVM_OPTS -Xlog:gc=info,safepoint=info:file=$CASSANDRA_LOG_DIR/gc.log:time,uptime,pid,tid,level:filecount=10,filesize=10485760"
JVM_OPTS="$JVM_OPTS -javaagent:$(echo "$CASSANDRA_HOME"/lib/jamm-*.jar)"

# JMX for nodetool inside of the container, without a password.
JVM_OPTS="$JVM_OPTS -Dcassandra.jmx.local.port=${JMX_PORT:-7199}"

# Last, so that they win.
JVM_OPTS="$JVM_OPTS ${JVM_EXTRA_OPTS:-}"
