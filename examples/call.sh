#!/bin/sh
# Send the callbacks of one conference, from its first leg to its end, as Twilio would.
#
#   examples/call.sh [ROOM]
#
# TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN must be those of the running Gavel.
# TO is its URL (http://127.0.0.1:8080), GAVEL the command (go run ./cmd/gavel).
set -eu
gavel=${GAVEL:-go run ./cmd/gavel}
room=${1:-support-103}

sid() { echo "$1$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"; }
conference=$(sid CF) customer=$(sid CA) ana=$(sid CA) number=0

send() {
  # $gavel may be several words.
  # shellcheck disable=SC2086
  $gavel send --to "${TO:-http://127.0.0.1:8080}" --name "$room" --conference "$conference" "$@"
}
callback() {
  send --seq "$number" --event "$@"
  number=$((number + 1))
}

callback participant-join --call "$customer" --label customer
callback participant-join --call "$ana" --label agent-ana --param EndConferenceOnExit=true
callback conference-start
callback participant-hold --call "$customer" --label customer
callback participant-unhold --call "$customer" --label customer
callback participant-leave --call "$ana" --label agent-ana --param EndConferenceOnExit=true
callback participant-leave --call "$customer" --label customer \
  --param ReasonParticipantLeft=moderator_ended_conference
callback conference-end \
  --param ReasonConferenceEnded=participant-with-end-conference-on-exit-left \
  --param CallSidEndingConference="$ana" --param ParticipantLabelEndingConference=agent-ana
send --event recording-completed
