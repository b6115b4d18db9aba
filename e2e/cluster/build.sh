# shellcheck shell=bash
# Builds the cluster's binaries and its two images into the shared cache.
# The name of a cached directory is the hash of everything that went into it.

TOOLS=(kubernetes etcd coredns helm storage kwok)
# Of the many ways that Prometheus has to find what to scrape, one will do.
TAGS=remove_all_sd,enable_kubernetes_sd

build_flags() { # tool
    local flags="-s -w"
    if [ "$1" = kubernetes ]; then
        # Without these the version reads v0.0.0, which clients misjudge.
        local version package=k8s.io/component-base/version
        version=$(sed -En 's|^\s*k8s.io/kubernetes (v[0-9.]+).*|\1|p' "$HERE/tools/kubernetes/go.mod")
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1"
        flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
    fi
    printf '%s\n' "$flags"
}

tool_hash() { # tool
    {
        go env GOVERSION GOARCH
        build_flags "$1"
        [ "$1" != prometheus ] || echo "$TAGS"
        cat "$HERE/tools/$1/"*
    } | sha256sum | cut -c1-16
}

# One directory per tool, as they appear below $CACHE/bin.
tool_directories() {
    command -v go >/dev/null || die "go is not installed: install Go 1.26 or newer (https://go.dev/dl)"
    local tool
    for tool in "${TOOLS[@]}"; do
        printf '%s-%s\n' "$tool" "$(tool_hash "$tool")"
    done
}

build_tool() { # directory
    local name=${1%-*} temporary target
    [ -d "$CACHE/bin/$1" ] && return
    say "building $name"
    temporary=$(mktemp -d "$CACHE/bin/.$name.XXXXXX")
    target=$temporary/$name
    case $name in kubernetes | prometheus) target=$temporary/ ;; esac # several binaries, named by go
    if ! (cd "$HERE/tools/$name" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false \
        go build -mod=readonly -trimpath -tags "$TAGS" -ldflags "$(build_flags "$name")" -o "$target" tool); then
        rm -rf "$temporary"
        die "building $name failed"
    fi
    chmod 755 "$temporary"
    mv -T "$temporary" "$CACHE/bin/$1"
}

# Builds a tool that the cluster does not need, unless it is in the cache, and prints where it is.
tool() { # name
    local directory
    [ -f "$HERE/tools/$1/go.mod" ] || die "there is no tool $1"
    mkdir -p "$CACHE/bin"
    directory=$1-$(tool_hash "$1")
    exec 8>"$CACHE/.cluster-build.lock"
    flock 8
    build_tool "$directory"
    exec 8>&-
    echo "$CACHE/bin/$directory"
}

# An image archive of one static program, written by hand: a layer, a config
# and a manifest are all there is to it.
pack_image() { # root image entrypoint archive
    local root=$1 image=$2 entrypoint=$3 archive=$4 work layer config
    work=$(mktemp -d)
    tar -C "$root" --sort=name --owner=0 --group=0 --mtime=@0 -cf "$work/layer.tar" .
    layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
    jq -cn --arg entrypoint "$entrypoint" --arg layer "sha256:$layer" --arg arch "$(go env GOARCH)" '{
        architecture: $arch, os: "linux",
        config: {Entrypoint: [$entrypoint], Env: ["PATH=/bin"]},
        rootfs: {type: "layers", diff_ids: [$layer]}}' >"$work/config.json"
    config=$(sha256sum "$work/config.json" | cut -d' ' -f1)
    mv "$work/config.json" "$work/$config.json"
    jq -cn --arg image "$image" --arg config "$config.json" \
        '[{Config: $config, RepoTags: [$image], Layers: ["layer.tar"]}]' >"$work/manifest.json"
    tar -C "$work" -cf "$archive" "$config.json" layer.tar manifest.json
    rm -rf "$work"
}

# The sandbox of every pod, and a shell with the usual tools for test pods.
images_directory() {
    printf 'cluster-%s\n' "$({ cat "$HERE/images/"* "$HERE/build.sh"; busybox 2>&1 | head -1; } |
        sha256sum | cut -c1-16)"
}

build_images() { # directory
    local temporary applet
    [ -d "$CACHE/images/$1" ] && return
    say "building images"
    temporary=$(mktemp -d "$CACHE/images/.cluster.XXXXXX")
    mkdir -p "$temporary/pause" "$temporary/busybox/bin" "$temporary/busybox/tmp"
    gcc -static -Os -s -o "$temporary/pause/pause" "$HERE/images/pause.c"
    pack_image "$temporary/pause" localhost/pause:1 /pause "$temporary/pause.tar"
    cp "$(command -v busybox)" "$temporary/busybox/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$temporary/busybox/bin/$applet"
    done
    chmod 1777 "$temporary/busybox/tmp"
    pack_image "$temporary/busybox" localhost/busybox:1 /bin/sh "$temporary/busybox.tar"
    rm -rf "$temporary/pause" "$temporary/busybox"
    chmod 755 "$temporary"
    mv -T "$temporary" "$CACHE/images/$1"
}

build() {
    local directory directories images
    mkdir -p "$CACHE/bin" "$CACHE/images"
    directories=$(tool_directories) # an assignment, so that a failure ends the script
    images=$(images_directory)
    exec 8>"$CACHE/.cluster-build.lock"
    flock 8
    for directory in $directories; do
        build_tool "$directory"
    done
    build_images "$images"
    exec 8>&-
}
