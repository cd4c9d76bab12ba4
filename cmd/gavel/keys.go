package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"gavel/handlers/api"
)

// keysCommand manages API keys of a running Gavel.
type keysCommand struct {
	Create keysCreate `cmd:"" help:"Make an API key and print its secret, once."`
	List   keysList   `cmd:"" help:"List API keys."`
	Revoke keysRevoke `cmd:"" help:"Revoke an API key."`
}

// keysCreate makes a key.
type keysCreate struct {
	clientFlags
	Name     string   `arg:"" help:"What the key is for."`
	Role     string   `default:"viewer" enum:"viewer,operator,admin" placeholder:"viewer|operator|admin" help:"What it may do (default ${default})."`
	Accounts []string `name:"account" placeholder:"SID" help:"AccountSids it is for (default all)."`
}

// Help is the longer help text.
func (keysCreate) Help() string {
	return `The key opens /v1 and the Twilio-shaped REST API. A viewer reads; an operator also writes to Twilio through that API and says what rules may do; an admin, who is always for all accounts, also manages keys and rebuilds. The secret is kept hashed and cannot be shown again.

Examples:
  gavel keys create wallboard --account AC0123456789abcdef0123456789abcdef
  gavel keys create kate --role operator`
}

// Run makes the key.
func (c *keysCreate) Run(ctx context.Context, t *terminal) error {
	body := struct {
		Name     string   `json:"name"`
		Role     string   `json:"role"`
		Accounts []string `json:"accounts,omitempty"`
	}{c.Name, c.Role, c.Accounts}
	return question[api.NewKey]{method: http.MethodPost, path: "keys", body: body, text: func(w io.Writer, made api.NewKey) error {
		_, err := fmt.Fprintf(w, "%s:%s\n", made.Sid, made.Secret)
		return err
	}}.run(ctx, c.clientFlags, t)
}

// keysList lists keys.
type keysList struct{ clientFlags }

// Help is the longer help text.
func (keysList) Help() string {
	return `Example:
  gavel keys list`
}

// Run lists them.
func (c *keysList) Run(ctx context.Context, t *terminal) error {
	return question[api.KeyList]{
		path: "keys",
		json: func(all api.KeyList) any { return all.Keys },
		text: keyTable,
	}.run(ctx, c.clientFlags, t)
}

func keyTable(w io.Writer, all api.KeyList) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SID\tCREATED\tROLE\tACCOUNTS\tNAME")
	for _, key := range all.Keys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", key.Sid, key.Created.Local().Format(time.DateTime), key.Role,
			firstOf(strings.Join(key.Accounts, ","), "all"), printable(key.Name))
	}
	return table.Flush()
}

// keysRevoke ends a key.
type keysRevoke struct {
	clientFlags
	Sid string `arg:"" help:"The key's SID (SK...)."`
}

// Help is the longer help text.
func (keysRevoke) Help() string {
	return `Example:
  gavel keys revoke SK0123456789abcdef0123456789abcdef`
}

// Run ends it.
func (c *keysRevoke) Run(ctx context.Context, t *terminal) error {
	return question[done]{
		method: http.MethodDelete,
		path:   "keys/" + url.PathEscape(c.Sid),
		json:   didTo("revoked", c.Sid),
		text:   sentence(c.Sid + " is revoked"),
	}.run(ctx, c.clientFlags, t)
}
