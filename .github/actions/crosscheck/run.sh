#!/usr/bin/env bash
# The action's one step: run, annotate, and pass on the verdict; the inputs are variables.
set -uo pipefail
# A folder of its own for each use of the action in a job, called as its artifact is.
use=1 name="${ARTIFACT:-crosscheck}"
until mkdir "$RUNNER_TEMP/crosscheck-$use" 2>/dev/null || [ $use -ge 1000 ]; do use=$((use + 1)); done
[ $use -eq 1 ] || name="$name-$use"
here="$RUNNER_TEMP/crosscheck-$use" report="$RUNNER_TEMP/crosscheck-$use/report"
[ -w "$here" ] || { echo "::error title=crosscheck::cannot write to $RUNNER_TEMP"; exit 3; }
read -ra options <<<"${OPTIONS:-}"
[ -z "${BASELINE:-}" ] || options+=(--baseline "$BASELINE")

python -m crosscheck run --engine "$ENGINE" --cases "$CASES" --out "$report" \
    --format html,md,junit --output-format github ${options[@]+"${options[@]}"} 2>"$here/complaint"
status=$?

case $status in
0) verdict="pass" ;;
1) verdict="defect or regression" ;;
2) verdict="bad input" ;;
4) verdict="not comparable" ;;
5) verdict="nothing confirmed" ;;
*) verdict="engine failed" ;;
esac
{ echo "verdict=$verdict" && echo "report=$report" && echo "artifact=$name"; } >>"$GITHUB_OUTPUT"

if [ -f "$report/report.md" ]; then
    cat "$report/report.md" >>"$GITHUB_STEP_SUMMARY"
elif [ $status -ne 0 ]; then
    cat "$here/complaint" >>"$GITHUB_STEP_SUMMARY"
    echo "::error title=crosscheck::$(tail -n 1 "$here/complaint")"
fi
exit $status
