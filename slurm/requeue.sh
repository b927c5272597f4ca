if ((code == 75)); then
    life=$((${SLURM_RESTART_COUNT:-0} + 1))
    if ((life < @{lives})); then
        echo "life $life is over: back to the queue"
        task=${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
        scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}$task"
    else
        echo "not done after $life lives: look whether it gets on, then submit it again"
    fi
fi
