package render

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"gavel/rules"
	"gavel/views"
)

// Decisions prints decisions of rules with their outcomes, the last stored first.
func Decisions(w io.Writer, decisions []views.Decision, now time.Time) error {
	if len(decisions) == 0 {
		_, err := fmt.Fprintln(w, "no decisions")
		return err
	}
	return Table(w, "AGE\tVERDICT\tRULE\tDO\tNAME\tCONFERENCE\tLEG\tOUTCOME", decisions, func(d views.Decision) []any {
		return []any{
			Ago(&d.AsOf, now), d.Verdict, Clip(d.Rule, 20), cmp.Or(d.Do, "-"), Clip(cmp.Or(d.FriendlyName, "-"), 14),
			cmp.Or(ShortSid(d.ConferenceSid), "-"), cmp.Or(Clip(d.Label, 10), ShortSid(d.CallSid), "-"), decisionEnd(d),
		}
	})
}

// decisionEnd is how a decision ended, in a word or two.
func decisionEnd(d views.Decision) string {
	switch {
	case d.Answer != nil && d.Answer.Why != "":
		return string(d.Answer.Result) + ": " + Printable(d.Answer.Why)
	case d.Answer != nil:
		return string(d.Answer.Result)
	case d.Reason != "":
		return string(d.Reason)
	case d.Verdict == rules.Would:
		return "-"
	}
	return "open"
}
