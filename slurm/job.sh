#!/usr/bin/env bash
# Runs one job, or one task of an array, from where the run stands to its end or to the time limit.
@{directives}
set -e

@{setup}

# Slurm tells this shell alone that the time is nearly up. hpcda ends after the rung in hand, with exit code 75.
told=0 run=
trap 'told=1; [[ -z $run ]] || kill -USR1 "$run" || true' USR1
trap 'told=1' TERM # Slurm has told the ranks itself

@{launch} \
    @{command} &
run=$!
((!told)) || kill -USR1 "$run"
while :; do # a signal ends the waiting, not the run
    code=0
    wait "$run" || code=$?
    ((told)) || break
    told=0
done

@{ending}
exit "$code"
