package twiliofake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// webhooksPrefix begins every path of the Webhooks API (Twilio, "Webhook configuration").
const webhooksPrefix = "/v1/Webhooks/"

// maxResources is how many of each kind an account may have (Twilio, error 59200).
const maxResources = 50

// SharedKey signs callbacks where a rule selects a setting that has it.
type SharedKey struct {
	ID           string `json:"id"`
	FriendlyName string `json:"friendlyName"`
	Secret       string `json:"secret,omitempty"`
}

// Setting is how callbacks are signed and sent.
type Setting struct {
	ID           string      `json:"id"`
	Type         string      `json:"type"` // SYSTEM or CUSTOMER
	FriendlyName string      `json:"friendlyName"`
	Signature    *Signing    `json:"signature,omitempty"`
	Connection   *Connection `json:"connection,omitempty"`
}

// Signing is the signature of a setting. Its type NONE sends no signature.
type Signing struct {
	Type        string `json:"type"`
	SharedKeyID string `json:"sharedKeyId,omitempty"`
	Algorithm   string `json:"algorithm,omitempty"`
}

// Connection has the limits of a request, in milliseconds, and its retries.
type Connection struct {
	ConnectTimeoutMs int    `json:"connectTimeoutMs,omitempty"`
	ReadTimeoutMs    int    `json:"readTimeoutMs,omitempty"`
	TotalTimeoutMs   int    `json:"totalTimeoutMs,omitempty"`
	RetryPolicy      *Retry `json:"retryPolicy,omitempty"`
}

// Retry is a policy of retries; without one nothing is sent again.
type Retry struct {
	RetryCount int      `json:"retryCount"`
	RetryOn    []string `json:"retryOn"`
}

// Rule selects settings by URL.
type Rule struct {
	ID        string  `json:"id"`
	MatchType string  `json:"matchType"`
	Prefix    string  `json:"prefix,omitempty"`
	Value     string  `json:"value,omitempty"`
	Settings  []Share `json:"settings"`

	sent int // requests that it matched
}

// Share is a setting's percentage of a rule's requests.
type Share struct {
	SettingID  string `json:"settingId"`
	Percentage int    `json:"percentage"`
}

// webhooks is an account's configuration of webhooks.
type webhooks struct {
	accountSid, token string
	transport         http.RoundTripper

	mu         sync.Mutex
	made       int // for IDs
	keys       []SharedKey
	settings   []Setting
	rules      []*Rule
	operations []map[string]any
}

func newWebhooks(c Config) *webhooks {
	w := &webhooks{accountSid: c.AccountSid, token: c.AuthToken, transport: c.Transport}
	if w.transport == nil {
		w.transport = http.DefaultTransport
	}
	w.settings = []Setting{{ID: w.id("setting"), Type: "SYSTEM"}}
	if c.SharedKey.ID != "" {
		w.keys = []SharedKey{c.SharedKey}
		w.settings = append(w.settings, Setting{ID: w.id("setting"), Type: "CUSTOMER", Signature: &Signing{
			Type: "SHARED_KEY", SharedKeyID: c.SharedKey.ID, Algorithm: either(c.SharedAlgorithm == "", "HMAC_SHA256", c.SharedAlgorithm),
		}})
		w.rules = []*Rule{{ID: w.id("rule"), MatchType: "DEFAULT", Settings: []Share{
			{w.settings[0].ID, 100 - c.SharedPercent}, {w.settings[1].ID, c.SharedPercent},
		}}}
	}
	return w
}

func (w *webhooks) id(kind string) string {
	w.made++
	return fmt.Sprintf("webhooks_%s_%026d", kind, w.made)
}

// sign adds the headers that the setting for the address requires. params are nil for GET and JSON.
func (w *webhooks) sign(h http.Header, address string, params url.Values) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signBy(w.settingFor(address), h, address, params)
}

func (w *webhooks) signBy(s *Setting, h http.Header, address string, params url.Values) {
	if s.Signature == nil {
		h.Set("X-Twilio-Signature", Signature(w.token, address, params))
		return
	}
	i := slices.IndexFunc(w.keys, func(k SharedKey) bool { return k.ID == s.Signature.SharedKeyID })
	if i < 0 {
		return // the type is NONE
	}
	h.Set("X-Twilio-Signature", SharedSignature(w.keys[i].Secret, s.Signature.Algorithm, address, params))
	h.Set("X-Twilio-Webhooks-Signature-Settings", "key="+w.keys[i].ID+",algorithm="+s.Signature.Algorithm)
}

// settingFor returns the setting of the next request to the address. The longest exact match comes
// first, then the longest prefix, then the default; a split is kept exactly over 100 requests.
func (w *webhooks) settingFor(address string) *Setting {
	plain, _, _ := strings.Cut(address, "?")
	var best *Rule
	for _, r := range w.rules {
		if r.matches(plain) && (best == nil || r.rank() > best.rank()) {
			best = r
		}
	}
	if best == nil {
		return &w.settings[0]
	}
	turn := best.sent * 37 % 100 // 37 and 100 have no common factor: shares are mixed
	best.sent++
	for _, share := range best.Settings {
		if turn -= share.Percentage; turn < 0 {
			i := slices.IndexFunc(w.settings, func(s Setting) bool { return s.ID == share.SettingID })
			return &w.settings[i]
		}
	}
	return &w.settings[0]
}

func (r *Rule) matches(address string) bool {
	switch r.MatchType {
	case "EXACT_MATCH":
		return address == r.Value
	case "PREFIX_MATCH":
		return strings.HasPrefix(address, r.Prefix)
	}
	return true
}

func (r *Rule) rank() int {
	const exact = 1 << 20
	if r.MatchType == "EXACT_MATCH" {
		return exact + len(r.Value)
	}
	return len(r.Prefix)
}

// uuid7 is the form of an Idempotency-Key.
var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

var (
	errInvalid  = func(why string) *apiError { return &apiError{http.StatusBadRequest, 59000, why} }
	errFull     = &apiError{http.StatusBadRequest, 59200, "The account has 50 of this kind already"}
	errWebhooks = &apiError{http.StatusNotFound, 20404, "The requested resource was not found"}
)

// serve answers one authenticated request.
func (w *webhooks) serve(to http.ResponseWriter, r *http.Request) {
	kind := strings.TrimPrefix(r.URL.Path, webhooksPrefix)
	body, refusal := any(nil), errWebhooks
	status := http.StatusOK
	switch {
	case r.Method == http.MethodGet:
		body, refusal = w.list(kind, cmp.Or(r.URL.Query().Get("type"), "CUSTOMER"))
	case r.Method == http.MethodPost:
		key := r.Header.Get("Idempotency-Key")
		if refusal = errInvalid("Idempotency-Key must be a UUIDv7"); key == "" || uuid7.MatchString(key) {
			status, body, refusal = w.create(r.Context(), kind, r.Body)
		}
	}
	if refusal != nil {
		refuse(to, refusal)
		return
	}
	to.Header().Set("Content-Type", "application/json")
	to.WriteHeader(status)
	_ = json.NewEncoder(to).Encode(body)
}

// list returns all of a kind, but only the settings of one type.
func (w *webhooks) list(kind, settingType string) (any, *apiError) {
	w.mu.Lock()
	defer w.mu.Unlock()
	meta := map[string]any{"nextToken": nil}
	switch kind {
	case "SharedKeys":
		hidden := slices.Clone(w.keys)
		for i := range hidden {
			hidden[i].Secret = "" // Twilio shows it once
		}
		return map[string]any{"sharedKeys": hidden, "meta": meta}, nil
	case "Settings":
		others := func(s Setting) bool { return s.Type != settingType }
		return map[string]any{"settings": slices.DeleteFunc(slices.Clone(w.settings), others), "meta": meta}, nil
	case "Rules":
		return map[string]any{"rules": slices.Clone(w.rules), "meta": meta}, nil
	case "Operations":
		return map[string]any{"operations": slices.Clone(w.operations), "meta": meta}, nil
	}
	return nil, errWebhooks
}

func (w *webhooks) create(ctx context.Context, kind string, body io.Reader) (status int, made any, refusal *apiError) {
	var test struct {
		URL       string `json:"url"`
		SettingID string `json:"settingId"`
	}
	var setting Setting
	var rule Rule
	raw, _ := io.ReadAll(io.LimitReader(body, maxForm))
	if json.Unmarshal(raw, &test) != nil || json.Unmarshal(raw, &setting) != nil || kind == "Rules" && json.Unmarshal(raw, &rule) != nil {
		return 0, nil, errInvalid("The body is not JSON of that kind")
	}
	if kind == "Tests" {
		return w.test(ctx, test.URL, test.SettingID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch kind {
	case "SharedKeys":
		if len(w.keys) == maxResources {
			return 0, nil, errFull
		}
		k := SharedKey{ID: w.id("sharedkey"), FriendlyName: setting.FriendlyName}
		k.Secret = "secret-of-" + k.ID
		w.keys = append(w.keys, k)
		return http.StatusCreated, k, nil
	case "Settings":
		return w.createSetting(setting)
	case "Rules":
		return w.createRule(rule)
	}
	return 0, nil, errWebhooks
}

func (w *webhooks) createSetting(s Setting) (int, any, *apiError) {
	has := func(id string) bool {
		return slices.ContainsFunc(w.keys, func(k SharedKey) bool { return k.ID == id })
	}
	c := s.Connection
	switch {
	case len(w.settings) == maxResources:
		return 0, nil, errFull
	case s.Signature != nil && !strings.EqualFold(s.Signature.Type, "none") && (!has(s.Signature.SharedKeyID) || !slices.Contains([]string{"HMAC_SHA1", "HMAC_SHA256"}, s.Signature.Algorithm)):
		return 0, nil, errInvalid("signature needs a sharedKeyId of the account and an algorithm")
	case c != nil && (c.TotalTimeoutMs > 60_000 || c.ReadTimeoutMs > 15_000 || c.ConnectTimeoutMs > 15_000):
		return 0, nil, errInvalid("connection exceeds a limit")
	}
	s.ID, s.Type = w.id("setting"), "CUSTOMER"
	w.settings = append(w.settings, s)
	return http.StatusCreated, s, nil
}

func (w *webhooks) createRule(r Rule) (int, any, *apiError) {
	sum := 0
	for _, share := range r.Settings {
		sum += share.Percentage
		if !slices.ContainsFunc(w.settings, func(s Setting) bool { return s.ID == share.SettingID }) {
			return 0, nil, errInvalid("a setting does not exist")
		}
	}
	switch {
	case len(w.rules) == maxResources:
		return 0, nil, errFull
	case r.MatchType == "EXACT_MATCH" && (r.Value == "" || strings.HasSuffix(r.Value, "/")):
		return 0, nil, errInvalid("value of EXACT_MATCH must not end in /")
	case r.MatchType == "PREFIX_MATCH" && !strings.HasSuffix(r.Prefix, "/"):
		return 0, nil, errInvalid("prefix must end in /")
	case strings.Contains(r.Value+r.Prefix, "*"):
		return 0, nil, errInvalid("wildcards are not supported")
	case sum != 100:
		return 0, nil, errInvalid("percentages must sum to 100")
	}
	r.ID = w.id("rule")
	w.rules = append(w.rules, &r)
	operation := map[string]any{"id": w.id("operation"), "status": "PENDING", "resourceId": r.ID, "createdAt": time.Now().UTC()}
	w.operations = append(w.operations, operation)
	return http.StatusAccepted, map[string]any{"operation": operation, "rule": r}, nil
}

// test calls the URL with a setting. The parameters of such a request are not confirmed.
func (w *webhooks) test(ctx context.Context, address, settingID string) (int, any, *apiError) {
	form := url.Values{"AccountSid": {w.accountSid}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, errInvalid("url cannot be called")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	w.mu.Lock()
	i := slices.IndexFunc(w.settings, func(s Setting) bool { return s.ID == settingID })
	if i >= 0 {
		w.signBy(&w.settings[i], request.Header, signedAddress(*request.URL), form)
	}
	w.mu.Unlock()
	if i < 0 {
		return 0, nil, errInvalid("the setting does not exist")
	}
	result := map[string]any{"outcome": "FAILURE"}
	if response, err := w.transport.RoundTrip(request); err != nil {
		result["error"] = "the connection failed"
	} else {
		response.Body.Close()
		result["response"] = map[string]any{"statusCode": response.StatusCode}
		if response.StatusCode < http.StatusMultipleChoices {
			result["outcome"] = "SUCCESS"
		}
	}
	return http.StatusOK, map[string]any{"url": address, "result": result, "createdAt": time.Now().UTC()}, nil
}
