# shellcheck shell=bash
# A box is a light machine: namespaces of its own (processes, mounts, network,
# host name) around the process box.sh. The kernel ends everything in it, and
# forgets its mounts and network devices, when that process is killed. So
# there is little to clean up, whatever state the box was in.

CGROUP=cassandra-e2e

# The top of every control group hierarchy: several in version 1, one in 2.
cgroup_tops() {
    if [ -e /sys/fs/cgroup/cgroup.procs ]; then
        echo /sys/fs/cgroup
    else
        dirname /sys/fs/cgroup/*/cgroup.procs
    fi
}

# All boxes share a group, so that neither the limits nor the end of the
# calling shell's group reach them. Each node's pods get one beside it.
make_cgroups() { # node...
    local top group file
    for top in $(cgroup_tops); do
        group=$top/$CGROUP
        mkdir -p "$group"
        for file in cpuset.cpus cpuset.mems; do # version 1 starts with none
            [ ! -e "$group/$file" ] || [ ! -e "$top/$file" ] || cat "$top/$file" >"$group/$file"
        done
        [ ! -e "$group/cgroup.clone_children" ] || echo 1 >"$group/cgroup.clone_children"
        if [ -e "$group/cgroup.controllers" ]; then
            sed 's/[a-z]\+/+&/g' "$top/cgroup.controllers" >"$top/cgroup.subtree_control"
            sed 's/[a-z]\+/+&/g' "$group/cgroup.controllers" >"$group/cgroup.subtree_control"
        fi
        # Compilers and tests outside must not starve the cluster: as many
        # shares as eight ordinary processes.
        [ ! -e "$group/cpu.shares" ] || echo 8192 >"$group/cpu.shares"
        [ ! -e "$group/cpu.weight" ] || echo 800 >"$group/cpu.weight"
        mkdir -p "$group/boxes" "${@/#/$group/}"
    done
}

# Fails as long as a process is left in one of them.
remove_cgroups() {
    local top
    for top in $(cgroup_tops); do
        [ ! -d "$top/$CGROUP" ] || find "$top/$CGROUP" -depth -type d -exec rmdir {} + || return 1
    done
}

start_box() { # box address pods tool-directory...
    mkdir -p "$STATE/$1"
    (
        for top in $(cgroup_tops); do
            echo "$BASHPID" >"$top/$CGROUP/boxes/cgroup.procs"
        done
        echo "$BASHPID" >"$STATE/$1/pid"
        # A background process starts with ^C ignored; pods must not inherit that.
        exec env --default-signal setsid unshare --mount --net --uts --ipc --pid --fork \
            --kill-child --mount-proc bash "$HERE/box.sh" "$STATE" "$CACHE/bin" "$@"
    ) </dev/null >"$STATE/logs/$1.log" 2>&1 9>&- &
    disown
    await "the box $1" box_pid "$1"
}

# The recorded process, if it is still the one that was recorded.
box_parent() { # box
    local pid
    pid=$(cat "$STATE/$1/pid" 2>/dev/null) || return 1
    { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "box.sh $STATE " && echo "$pid"
}

# Process 1 of the box, as the host counts.
box_pid() { # box
    local parent
    parent=$(box_parent "$1") && pgrep --parent "$parent"
}

# The box has ended, and its cable is out.
is_off() { # node
    ! box_parent "$1" && ! on_network_of control ip link show "$1"
}

# A command in a box, in all its namespaces.
in_box() { # box command...
    local pid
    pid=$(box_pid "$1") || die "there is no running box $1"
    nsenter --target "$pid" --mount --net --uts --ipc --pid --wd=/ -- "${@:2}"
}

# Ends whatever is in the group of the boxes, recorded or not; with the boxes'
# first processes the kernel ends their containers.
stop_boxes() {
    local tops file
    # A frozen process cannot even be killed.
    for file in $(find "/sys/fs/cgroup/freezer/$CGROUP" -name freezer.state 2>/dev/null); do
        echo THAWED >"$file"
    done
    readarray -t tops < <(cgroup_tops)
    file=${tops[0]}/$CGROUP/boxes/cgroup.procs
    while [ -n "$(cat "$file" 2>/dev/null)" ]; do
        # shellcheck disable=SC2046 # one argument per process
        kill -KILL $(cat "$file") 2>/dev/null || :
        sleep 0.1
    done
    await "the end of all containers" remove_cgroups
}
