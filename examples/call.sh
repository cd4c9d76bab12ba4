#!/bin/sh
# One conference from its first leg to its end, sent as Twilio would send it.
#
#   examples/call.sh [ROOM]
#
# TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are those of the Gavel that listens.
# TO is where (http://127.0.0.1:8080), GAVEL the command (go run ./cmd/gavel).
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
tell() {
  send --seq "$number" --event "$@"
  number=$((number + 1))
}

tell participant-join --call "$customer" --label customer
tell participant-join --call "$ana" --label agent-ana --param EndConferenceOnExit=true
tell conference-start
tell participant-hold --call "$customer" --label customer
tell participant-unhold --call "$customer" --label customer
tell participant-leave --call "$ana" --label agent-ana --param EndConferenceOnExit=true
tell participant-leave --call "$customer" --label customer \
  --param ReasonParticipantLeft=moderator_ended_conference
tell conference-end \
  --param ReasonConferenceEnded=participant-with-end-conference-on-exit-left \
  --param CallSidEndingConference="$ana" --param ParticipantLabelEndingConference=agent-ana
send --event recording-completed
