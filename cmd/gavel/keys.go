package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/internal/keys"
)

// keysCommand manages API keys of a running Gavel.
type keysCommand struct {
	Create keysCreate `cmd:"" help:"Create an API key and print its secret, once."`
	List   keysList   `cmd:"" help:"List API keys."`
	Revoke keysRevoke `cmd:"" help:"Revoke an API key."`
}

// keysCreate makes a key.
type keysCreate struct {
	clientFlags
	Name     string   `arg:"" help:"Name of the key, such as its use."`
	Role     string   `default:"viewer" enum:"viewer,operator,admin" placeholder:"viewer|operator|admin" help:"Its permissions (default ${default})."`
	Accounts []string `name:"account" placeholder:"SID" help:"AccountSids that it can access (default all)."`
}

// Run makes the key.
func (c *keysCreate) Run(ctx context.Context, t *terminal) error {
	body := struct {
		Name     string   `json:"name"`
		Role     string   `json:"role"`
		Accounts []string `json:"accounts,omitempty"`
	}{c.Name, c.Role, c.Accounts}
	return request[api.NewKey]{method: http.MethodPost, path: "keys", body: body, text: func(w io.Writer, made api.NewKey) error {
		_, err := fmt.Fprintf(w, "%s:%s\n", made.Sid, made.Secret)
		return err
	}}.run(ctx, c.clientFlags, t)
}

// keysList lists keys.
type keysList struct{ clientFlags }

// Run lists them.
func (c *keysList) Run(ctx context.Context, t *terminal) error {
	return request[api.KeyList]{
		path: "keys",
		json: func(all api.KeyList) any { return all.Keys },
		text: keyTable,
	}.run(ctx, c.clientFlags, t)
}

func keyTable(w io.Writer, all api.KeyList) error {
	return render.Table(w, "SID\tCREATED\tROLE\tACCOUNTS\tNAME", all.Keys, func(k keys.Key) []any {
		return []any{k.Sid, render.Moment(&k.Created), k.Role, cmp.Or(strings.Join(k.Accounts, ","), "all"), render.Printable(k.Name)}
	})
}

// keysRevoke ends a key.
type keysRevoke struct {
	clientFlags
	Sid string `arg:"" help:"The key's SID (SK...)."`
}

// Run ends it.
func (c *keysRevoke) Run(ctx context.Context, t *terminal) error {
	return request[done]{
		method: http.MethodDelete,
		path:   "keys/" + url.PathEscape(c.Sid),
		json:   didTo("revoked", c.Sid),
		text:   sentence(c.Sid + " is revoked"),
	}.run(ctx, c.clientFlags, t)
}
