package doctor

import (
	"slices"
	"strings"
	"time"
)

// Webhooks is what Twilio's Webhooks API has for one account (Docs: "Webhook configuration").
type Webhooks struct {
	AccountSid string
	// URLs are all addresses of Gavel that Twilio calls: the door's endpoints and the announcements.
	URLs []string
	// Keys are the IDs of the shared keys in the settings of this account.
	Keys     []string
	Settings []WebhookSetting
	Rules    []WebhookRule
	// Operations are changes that Twilio has accepted.
	Operations []WebhookOperation
	// Tests are Twilio's own calls; none unless they were requested.
	Tests []WebhookTest
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
	URL     string `json:"-"`
	Setting string `json:"-"`
	Result  struct {
		Outcome  string `json:"outcome"`
		Response struct {
			StatusCode int `json:"statusCode"`
		} `json:"response"`
		Error string `json:"error"`
	} `json:"result"`
}

// Rule returns the rule that applies to a URL, or nil: the longest exact match, else the longest
// prefix, else the default.
func (w Webhooks) Rule(url string) (best *WebhookRule) {
	for i, r := range w.Rules {
		matches := r.MatchType == "DEFAULT" || r.MatchType == "EXACT_MATCH" && r.Value == url ||
			r.MatchType == "PREFIX_MATCH" && r.Prefix != "" && strings.HasPrefix(url, r.Prefix)
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

// UsedSettings returns the settings that have a share of a URL's callbacks. Without a rule that is
// Twilio's own, if the account has it.
func (w Webhooks) UsedSettings(url string) (ids []string) {
	r := w.Rule(url)
	if r == nil {
		if i := slices.IndexFunc(w.Settings, func(s WebhookSetting) bool { return s.Type == "SYSTEM" }); i >= 0 {
			ids = []string{w.Settings[i].ID}
		}
		return ids
	}
	for _, s := range r.Settings {
		if s.Percentage > 0 {
			ids = append(ids, s.SettingID)
		}
	}
	return ids
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
	found := w.byRule()
	for _, o := range w.Operations {
		if o.Status == "PENDING" || o.Status == "RUNNING" {
			found = append(found, CheckWebhooks.note("operation %s is %s: Twilio needs up to a minute for a change", o.ID, strings.ToLower(o.Status)).do("run this again in a minute"))
		}
	}
	return append(found, w.tested()...)
}

// byRule judges the URLs of each rule together: mostly one rule, or none, applies to all.
func (w Webhooks) byRule() (found []Finding) {
	var judged []*WebhookRule
	for _, url := range w.URLs {
		r := w.Rule(url)
		if slices.Contains(judged, r) {
			continue
		}
		judged = append(judged, r)
		at := w.shown(r)
		if r == nil {
			found = append(found, CheckWebhooks.ok("account %s has no rule for %s: the auth token signs, and retries follow the URL's #rc=5&rp=all", w.AccountSid, at))
			continue
		}
		for _, share := range r.Settings {
			if share.Percentage > 0 {
				found = append(found, w.share(at, share.SettingID, share.Percentage)...)
			}
		}
	}
	return found
}

// shown are the URLs of a rule: the first one, and of the others what follows the last slash but one.
func (w Webhooks) shown(r *WebhookRule) string {
	var of []string
	for _, url := range w.URLs {
		switch at := strings.LastIndex(strings.TrimSuffix(url, "/"), "/"); {
		case w.Rule(url) != r:
		case len(of) == 0:
			of = append(of, url)
		default:
			of = append(of, "..."+url[at:])
		}
	}
	return strings.Join(of, ", ")
}

// share judges a setting that has a share of the callbacks.
func (w Webhooks) share(at, id string, percent int) (found []Finding) {
	i := slices.IndexFunc(w.Settings, func(s WebhookSetting) bool { return s.ID == id })
	if i < 0 {
		return []Finding{CheckWebhooks.warn("the rule of %s names setting %s, which Twilio does not list", at, id).do("compare the rule with the settings at Twilio")}
	}
	s := w.Settings[i]
	if s.Type == "SYSTEM" {
		return []Finding{CheckWebhooks.ok("%d %% of %s: the auth token signs, and retries follow the URL's #rc=5&rp=all", percent, at)}
	}
	return append(w.signature(at, s, percent), w.retries(at, s, percent))
}

// signature judges who signs. The names of the types are not confirmed, except that "none" disables
// signing: a setting with a key signs by it, whatever its type is called.
func (w Webhooks) signature(at string, s WebhookSetting, percent int) []Finding {
	switch {
	case s.Signature == nil:
		return []Finding{CheckWebhooks.ok("%d %% of %s: setting %s has no shared key; the auth token signs", percent, at, s.ID)}
	case s.Signature.SharedKeyID == "" && s.Signature.Type != "" && !strings.EqualFold(s.Signature.Type, "none"):
		return []Finding{CheckWebhooks.warn("%d %% of %s: setting %s signs by type %q without a shared key, which is not known here", percent, at, s.ID, s.Signature.Type).
			do("run this with --call: Twilio then calls the door with that setting")}
	case s.Signature.SharedKeyID == "" || strings.EqualFold(s.Signature.Type, "none"):
		return []Finding{CheckWebhooks.fault("%d %% of %s: setting %s sends no signature, and Gavel refuses every such callback", percent, at, s.ID).
			do("use a setting with a shared key; `gavel setup twilio` prints how")}
	case !slices.Contains(w.Keys, s.Signature.SharedKeyID):
		return []Finding{CheckWebhooks.fault("%d %% of %s: %s signs, which is not in shared_keys; Gavel refuses every such callback", percent, at, s.Signature.SharedKeyID).
			do("set the percentage to 0, or add the key and its secret to shared_keys of account %s, and SIGHUP", w.AccountSid)}
	}
	return []Finding{CheckWebhooks.ok("%d %% of %s: %s signs by %s", percent, at, s.Signature.SharedKeyID, s.Signature.Algorithm)}
}

// retries judges the retries. Whether a customer's setting honours #rc=5&rp=all is not confirmed,
// and Twilio's text speaks against it.
func (w Webhooks) retries(at string, s WebhookSetting, percent int) Finding {
	if s.Connection == nil || s.Connection.RetryPolicy == nil || s.Connection.RetryPolicy.RetryCount == 0 {
		return CheckWebhooks.warn("%d %% of %s: setting %s has no retryPolicy, so every callback that fails once is lost, also with #rc=5&rp=all in its URL", percent, at, s.ID).
			do("replace it by a setting with retryOn ALL and totalTimeoutMs 60000; `gavel setup twilio` prints one")
	}
	p, within := s.Connection.RetryPolicy, "Twilio's default time"
	if ms := s.Connection.TotalTimeoutMs; ms != 0 {
		within = (time.Duration(ms) * time.Millisecond).String()
	}
	return CheckWebhooks.ok("%d %% of %s: setting %s retries %d times after %s, within %s", percent, at, s.ID, p.RetryCount,
		strings.Join(p.RetryOn, ", "), within)
}

func (w Webhooks) tested() (found []Finding) {
	for _, test := range w.Tests {
		r := test.Result
		if code := r.Response.StatusCode; code >= 200 && code < 300 {
			found = append(found, CheckWebhooks.ok("Twilio itself called %s with setting %s and got %d", test.URL, test.Setting, code))
			continue
		}
		found = append(found, CheckWebhooks.fault("Twilio itself called %s with setting %s: outcome %s, status %d %s", test.URL, test.Setting, r.Outcome, r.Response.StatusCode, r.Error).
			do("Gavel's log has the reason of a 403: with reason account the call named no account, and says nothing about callbacks; without a status Twilio cannot reach the URL"))
	}
	return found
}
