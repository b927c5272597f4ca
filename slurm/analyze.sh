#!/usr/bin/env bash
# Analyses a run with as many worker processes as the job has processors.
@{directives}
set -e

@{setup}

exec @{command}
