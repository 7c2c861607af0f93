#!/bin/sh
# Checks, times and trains on this machine. Everything that is printed and written ends up in one folder.
set -u

usage() {
    cat <<'END'
Usage: ./run [--quick] [--reproduce] [--no-peers] [--out DIR] [-- TRAINER OPTIONS]

  --quick        a few minutes: some kernels, some layers, some steps
  --reproduce    also train every system of the reports, all epochs, three seeds
  --no-peers     do not compare with other frameworks, even if they are installed
  --out DIR      folder of the results [default: results]

TRAINER OPTIONS go to every call of the trainer, such as: -- --data-dir FOLDER
WGPU_ADAPTER_NAME and WGPU_BACKEND choose the adapter for everything.
Other frameworks are compared if the Python named by PYTHON [default: python3] is 3.11 or newer; see peers/README.md.
END
}

quick= reproduce= peers=yes out=results
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=yes ;;
    --reproduce) reproduce=yes ;;
    --no-peers) peers= ;;
    --out) shift; out=${1:?--out needs a folder} ;;
    --help | -h) usage; exit 0 ;;
    --) shift; break ;;
    *) echo "unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
trainer=$here/bin/trainer
if [ -d "$here/data" ]; then
    FASHION_MNIST_DIR=$here/data
    export FASHION_MNIST_DIR
fi
# Runs and reports are written where the script was told to, not where it was called.
cd "$out" || exit 1
CRITERION_HOME=$out/criterion
export CRITERION_HOME

failures=
# step NAME COMMAND...: what it prints on stdout goes to NAME.txt, on stderr to NAME.log.
step() {
    name=$1
    shift
    echo "==> $name" >&2
    "$@" >"$out/$name.txt" 2>"$out/$name.log"
    code=$?
    if [ $code -ne 0 ]; then
        echo "    exit code $code; the last of what it said:" >&2
        tail -n 5 "$out/$name.log" >&2
        failures="$failures $name"
    fi
}

# A folder of a run is never written over.
fresh() {
    number=1
    while [ -e "$out/$1-$number" ]; do number=$((number + 1)); done
    echo "$out/$1-$number"
}

step doctor "$trainer" doctor "$@"
step doctor-json "$trainer" doctor --json "$@"
if [ -n "$quick" ]; then
    step check "$trainer" kernels check relu.fwd dense.fwd "$@"
    step bench "$trainer" kernels bench dense.fwd --layer lenet5-fc2 "$@"
    step profile-lenet5 "$trainer" kernels profile lenet5 --trace "$out/trace-lenet5.json" "$@"
    step train-lenet5 "$trainer" train lenet5 --max-steps 20 --out "$(fresh lenet5)" "$@"
    step steps "$here/bin/layers" --bench 'step/.*/lenet5'
    compare="lenet5 --steps 10 --rounds 1 --checked 10"
else
    step check "$trainer" kernels check "$@"
    step report "$trainer" kernels report --out "$out" "$@"
    for recipe in lenet5 depth2 depth3 deep4-same; do
        step "profile-$recipe" "$trainer" kernels profile "$recipe" --trace "$out/trace-$recipe.json" "$@"
    done
    for recipe in lenet5 depth2; do
        step "train-$recipe" "$trainer" train "$recipe" --out "$(fresh "$recipe")" "$@"
    done
    step steps "$here/bin/layers" --bench step
    compare="lenet5 depth2 depth3 deep4-same"
fi
if [ -n "$peers" ]; then
    python=${PYTHON:-python3}
    if "$python" -c 'import tomllib' 2>/dev/null; then
        step peers "$python" "$here/peers/run.py" --trainer "$trainer" --python "$python" --out "$out" $compare
    else
        echo "==> peers: left out, $python is not there or older than 3.11" >&2
    fi
fi
if [ -n "$reproduce" ]; then
    step reproduce "$trainer" reproduce --epochs-scale 1 --seeds 3 --out "$out" --runs "$out/reproduce" "$@"
fi

if [ -n "$failures" ]; then
    echo "failed:$failures; the rest is in $out" >&2
    exit 1
fi
echo "all done; results are in $out" >&2
