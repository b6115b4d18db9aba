# shellcheck shell=bash
# Brings image archives into every node.

# Whether the node holds every image of the archive exactly as it is there.
# containerd lists an image by its names and by the digest of its config, which
# is what a docker archive names too; other archives are always imported.
has_images() { # node archive
    local manifest present reference config
    manifest=$(tar -xOf "$2" --occurrence=1 --wildcards '*manifest.json' 2>/dev/null) || return 1
    present=$(in_box "$1" ctr -n k8s.io images ls | awk '{print $1, $3}')
    while read -r reference config; do
        awk -v a="$reference" -v b="sha256:$config" \
            '$1 == a {x = $2} $1 == b {y = $2} END {exit !(x != "" && x == y)}' <<<"$present" || return 1
    done < <(jq -r '.[] | (.Config | sub(".*/"; "") | sub("\\.json$"; "")) as $config
        | .RepoTags[] | "\(.) \($config)"' <<<"$manifest")
}

load_into() { # node archive...
    local archive
    for archive in "${@:2}"; do
        has_images "$1" "$archive" && continue
        say "$1: loading ${archive##*/}"
        in_box "$1" ctr -n k8s.io images import - <"$archive" >/dev/null || return 1
    done
}

load() { # archive...
    local node archive jobs=()
    [ $# -gt 0 ] || usage
    for archive in "$@"; do
        [ -r "$archive" ] || die "cannot read the image archive $archive"
    done
    for node in $(nodes); do
        load_into "$node" "$@" &
        jobs+=($!)
    done
    for node in "${jobs[@]}"; do
        wait "$node" || die "an image could not be loaded"
    done
}
