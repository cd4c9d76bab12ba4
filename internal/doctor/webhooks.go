package doctor

import (
	"slices"
	"strings"
	"time"
)

// Webhooks is what Twilio's Webhooks API has for one account (Docs: "Webhook configuration").
type Webhooks struct {
	AccountSid string
	// URL is the address of the door's callbacks.
	URL string
	// Keys are the IDs of the shared keys in the settings of this account.
	Keys     []string
	Settings []WebhookSetting
	Rules    []WebhookRule
	// Operations are changes that Twilio has accepted.
	Operations []WebhookOperation
	// Test is Twilio's own call of URL; nil if none was requested.
	Test *WebhookTest
	// Status and Code are those of the first answer that was not 200; Fault is why none came.
	Status, Code int
	Fault        error
}

// WebhookSetting is how Twilio signs and sends callbacks.
type WebhookSetting struct {
	ID        string `json:"id"`
	Type      string `json:"type"` // SYSTEM or CUSTOMER
	Signature *struct {
		Type        string `json:"type"`
		SharedKeyID string `json:"sharedKeyId"`
		Algorithm   string `json:"algorithm"`
	} `json:"signature"`
	Connection *struct {
		TotalTimeoutMs int `json:"totalTimeoutMs"`
		RetryPolicy    *struct {
			RetryCount int      `json:"retryCount"`
			RetryOn    []string `json:"retryOn"`
		} `json:"retryPolicy"`
	} `json:"connection"`
}

// WebhookRule selects settings for the URLs that it matches, by percentage.
type WebhookRule struct {
	ID        string `json:"id"`
	MatchType string `json:"matchType"`
	Prefix    string `json:"prefix"`
	Value     string `json:"value"`
	Settings  []struct {
		SettingID  string `json:"settingId"`
		Percentage int    `json:"percentage"`
	} `json:"settings"`
}

// WebhookOperation is a change of a rule. Twilio needs 30 to 60 s for one.
type WebhookOperation struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// WebhookTest is the result of Twilio's call of a URL with a setting.
type WebhookTest struct {
	Result struct {
		Outcome  string `json:"outcome"`
		Response struct {
			StatusCode int `json:"statusCode"`
		} `json:"response"`
		Error string `json:"error"`
	} `json:"result"`
}

// Rule returns the rule that applies to URL, or nil: the longest exact match, else the longest
// prefix, else the default.
func (w Webhooks) Rule() (best *WebhookRule) {
	for i, r := range w.Rules {
		matches := r.MatchType == "DEFAULT" || r.MatchType == "EXACT_MATCH" && r.Value == w.URL ||
			r.MatchType == "PREFIX_MATCH" && r.Prefix != "" && strings.HasPrefix(w.URL, r.Prefix)
		if matches && (best == nil || r.rank() > best.rank()) {
			best = &w.Rules[i]
		}
	}
	return best
}

func (r *WebhookRule) rank() int {
	const exact = 1 << 20 // before every prefix
	if r.MatchType == "EXACT_MATCH" {
		return exact
	}
	return len(r.Prefix)
}

// Setting returns the setting with the largest share of URL's callbacks, or "".
func (w Webhooks) Setting() string {
	id, most := "", 0
	if r := w.Rule(); r != nil {
		for _, s := range r.Settings {
			if s.Percentage > most {
				id, most = s.SettingID, s.Percentage
			}
		}
		return id
	}
	if i := slices.IndexFunc(w.Settings, func(s WebhookSetting) bool { return s.Type == "SYSTEM" }); i >= 0 {
		id = w.Settings[i].ID
	}
	return id
}

// Findings judges the configuration.
func (w Webhooks) Findings() []Finding {
	switch {
	case w.Fault != nil:
		return []Finding{Skipped(CheckWebhooks, "Twilio's Webhooks API did not answer: "+w.Fault.Error())}
	case w.Status != 0:
		return []Finding{CheckWebhooks.note("not checked: Twilio's Webhooks API answered %d, code %d, for account %s", w.Status, w.Code, w.AccountSid).
			do("nothing, unless the account has rules there; reading them needs an API key with the right to it")}
	}
	var found []Finding
	if r := w.Rule(); r == nil {
		found = append(found, CheckWebhooks.ok("account %s has no rule for %s: the auth token signs, and retries follow the URL's #rc=5&rp=all", w.AccountSid, w.URL))
	} else {
		for _, share := range r.Settings {
			if share.Percentage > 0 {
				found = append(found, w.share(share.SettingID, share.Percentage)...)
			}
		}
	}
	for _, o := range w.Operations {
		if o.Status == "PENDING" || o.Status == "RUNNING" {
			found = append(found, CheckWebhooks.note("operation %s is %s: Twilio needs up to a minute for a change", o.ID, strings.ToLower(o.Status)).do("run this again in a minute"))
		}
	}
	return append(found, w.tested()...)
}

// share judges a setting that has a share of the callbacks.
func (w Webhooks) share(id string, percent int) (found []Finding) {
	i := slices.IndexFunc(w.Settings, func(s WebhookSetting) bool { return s.ID == id })
	if i < 0 {
		return []Finding{CheckWebhooks.warn("the rule of %s names setting %s, which Twilio does not list", w.URL, id).do("compare the rule with the settings at Twilio")}
	}
	s := w.Settings[i]
	if s.Type == "SYSTEM" {
		return []Finding{CheckWebhooks.ok("%d %% of %s: the auth token signs, and retries follow the URL's #rc=5&rp=all", percent, w.URL)}
	}
	return append(w.signature(s, percent), w.retries(s, percent))
}

func (w Webhooks) signature(s WebhookSetting, percent int) []Finding {
	switch {
	case s.Signature == nil:
		return []Finding{CheckWebhooks.ok("%d %% of %s: setting %s has no shared key; the auth token signs", percent, w.URL, s.ID)}
	case s.Signature.SharedKeyID == "":
		return []Finding{CheckWebhooks.fault("%d %% of %s: setting %s sends no signature, and Gavel refuses every such callback", percent, w.URL, s.ID).
			do("use a setting with a shared key; `gavel setup twilio` prints how")}
	case !slices.Contains(w.Keys, s.Signature.SharedKeyID):
		return []Finding{CheckWebhooks.fault("%d %% of %s: %s signs, which is not in shared_keys; Gavel refuses every such callback", percent, w.URL, s.Signature.SharedKeyID).
			do("set the percentage to 0, or add the key and its secret to shared_keys of account %s, and SIGHUP", w.AccountSid)}
	}
	return []Finding{CheckWebhooks.ok("%d %% of %s: %s signs by %s", percent, w.URL, s.Signature.SharedKeyID, s.Signature.Algorithm)}
}

// retries judges the retries. Whether a customer's setting honours #rc=5&rp=all is not confirmed,
// and Twilio's text speaks against it.
func (w Webhooks) retries(s WebhookSetting, percent int) Finding {
	if s.Connection == nil || s.Connection.RetryPolicy == nil || s.Connection.RetryPolicy.RetryCount == 0 {
		return CheckWebhooks.warn("%d %% of %s: setting %s has no retryPolicy, so every callback that fails once is lost, also with #rc=5&rp=all in its URL", percent, w.URL, s.ID).
			do("replace it by a setting with retryOn ALL and totalTimeoutMs 60000; `gavel setup twilio` prints one")
	}
	p := s.Connection.RetryPolicy
	return CheckWebhooks.ok("%d %% of %s: setting %s retries %d times after %s, within %s", percent, w.URL, s.ID, p.RetryCount,
		strings.Join(p.RetryOn, ", "), time.Duration(s.Connection.TotalTimeoutMs)*time.Millisecond)
}

func (w Webhooks) tested() []Finding {
	if w.Test == nil {
		return nil
	}
	r := w.Test.Result
	if code := r.Response.StatusCode; code >= 200 && code < 300 {
		return []Finding{CheckWebhooks.ok("Twilio itself called %s with setting %s and got %d", w.URL, w.Setting(), code)}
	}
	return []Finding{CheckWebhooks.fault("Twilio itself called %s with setting %s: outcome %s, status %d %s", w.URL, w.Setting(), r.Outcome, r.Response.StatusCode, r.Error).
		do("Gavel's log has the reason of a 403; without a status Twilio cannot reach the URL")}
}
