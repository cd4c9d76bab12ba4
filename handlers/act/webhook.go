package act

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gavel/events"
	"gavel/internal/webhook"
	"gavel/rules"
	"gavel/rules/schema"
)

// secretFile is the parameter that gives a webhook step a secret of its own.
const secretFile = "secret_file"

// Why a webhook failed for good, as the outcome states it.
const (
	whyAddress = "address" // the address must not be called
	whyGone    = "gone"    // 410: the receiver refuses all further calls
)

// Caller calls webhooks.
type Caller interface {
	// Call makes one call. Unless the error wraps webhook.ErrAddress, another try may succeed.
	Call(ctx context.Context, r webhook.Request) (webhook.Answer, error)
}

// Webhooks performs `webhook` steps.
type Webhooks struct {
	caller Caller
	now    func() time.Time
}

// NewWebhooks returns a notifier for webhooks. now returns the current time.
func NewWebhooks(caller Caller, now func() time.Time) *Webhooks { return &Webhooks{caller, now} }

// Notify calls a decision's webhook. The outcome is done after a 2xx answer. It is failed if the
// address must not be called, and after an answer that another call would not change. The error is
// a *NotNow if another call may succeed; that call has the same webhook-id.
func (w *Webhooks) Notify(ctx context.Context, d rules.Decision) (events.Outcome, error) {
	body, err := newMessage(d, w.now())
	if err != nil {
		return events.Outcome{}, err
	}
	answer, err := w.caller.Call(ctx, webhook.Request{
		URL: d.Params["url"], ID: d.ID, ContentType: "application/cloudevents+json; charset=utf-8",
		Body: body, SecretFile: d.Params[secretFile],
	})
	outcome := events.Outcome{Result: events.Failed, Status: answer.Status, At: w.now()}
	switch {
	case errors.Is(err, webhook.ErrAddress):
		outcome.Why = whyAddress
	case err != nil:
		return events.Outcome{}, &NotNow{Err: fmt.Errorf("call webhook: %w", err)}
	case answer.Temporary():
		return events.Outcome{}, &NotNow{After: answer.RetryAfter, Err: fmt.Errorf("call webhook: status %d", answer.Status)}
	case answer.Status == http.StatusGone:
		outcome.Why = whyGone
	case answer.Status/100 == 2:
		outcome.Result = events.Done
	}
	return outcome, nil
}

// CheckWebhooks returns an error, schema.Faults, for the webhook steps of a set
// that could never be performed with these settings: they have no secret, or their
// address must not be called. It skips rules that are off.
func CheckWebhooks(set *rules.Set, settings webhook.Settings) error {
	var faults schema.Faults
	for _, rule := range set.Rules {
		for i := range rule.Do {
			step := &rule.Do[i]
			if rule.Mode == rules.Off || step.Kind != rules.StepWebhook {
				continue
			}
			for _, message := range checkWebhook(step, settings) {
				faults = append(faults, schema.Fault{File: rule.File, Line: step.Line, Column: 1, Rule: rule.Name, Message: message})
			}
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults.Sorted()
}

// checkWebhook returns the reasons that a webhook step could never be performed.
func checkWebhook(step *rules.Step, settings webhook.Settings) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	own := step.Params[secretFile]
	path, constant := "", true
	if own != nil {
		path, constant = own.Constant()
	}
	switch {
	case own == nil && len(settings.Secrets) == 0:
		fault("the webhook has no secret: set webhooks.secret in gavel.yaml, or %s in the step", secretFile)
	case !constant:
		fault("%s must be a constant: a caller must not choose a file", secretFile)
	case own != nil:
		if err := webhook.CheckSecretFile(path); err != nil {
			fault("%s: %v", secretFile, err)
		}
	}
	// A rule set is loaded only if expressions in its URLs follow the host, so the
	// text before the first one contains the whole host.
	address, _, _ := strings.Cut(step.Params["url"].String(), "${")
	if _, err := settings.CheckAddress(address); err != nil {
		fault("the webhook's url %v", err)
	}
	return faults
}
