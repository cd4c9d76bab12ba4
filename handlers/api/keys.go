package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gavel/internal/keys"
)

// KeyList is all keys, the oldest first.
type KeyList struct {
	Keys []keys.Key `json:"keys"`
}

// NewKey is a key with its secret, which is shown this once.
type NewKey struct {
	keys.Key
	Secret string `json:"secret" doc:"Shown once; only a hash is kept"`
}

type createKeyInput struct {
	Body struct {
		Name     string   `json:"name" minLength:"1" maxLength:"64" doc:"What the key is for"`
		Role     string   `json:"role,omitempty" enum:"viewer,operator,admin" default:"viewer" doc:"A viewer reads, an operator also writes to Twilio and stops, exempts and resets rules, an admin also manages keys and rebuilds"`
		Accounts []string `json:"accounts,omitempty" maxItems:"1000" doc:"AccountSids that the key can access; empty: all, which an admin requires"`
	}
}

type revokeKeyInput struct {
	Sid string `path:"sid"`
}

func (a *API) addKeys(h huma.API) {
	get(a, h, "list-keys", "keys", "API keys, without their secrets", a.listKeys)
	register(a, h, huma.Operation{
		OperationID: "create-key", Method: http.MethodPost, Path: "keys",
		Summary: "Create an API key", DefaultStatus: http.StatusCreated,
	}, a.createKey)
	huma.Register(h, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: Prefix + "keys/{sid}",
		Summary: "Revoke an API key", DefaultStatus: http.StatusNoContent,
	}, a.revokeKey)
}

func (a *API) listKeys(ctx context.Context, _ *struct{}) (KeyList, error) {
	if err := admin(ctx); err != nil {
		return KeyList{}, err
	}
	return KeyList{a.Keys.List()}, nil
}

func (a *API) createKey(ctx context.Context, in *createKeyInput) (NewKey, error) {
	if err := admin(ctx); err != nil {
		return NewKey{}, err
	}
	key, secret, err := a.Keys.Create(ctx, in.Body.Name, keys.Role(in.Body.Role), in.Body.Accounts)
	switch {
	case errors.Is(err, keys.ErrInvalid):
		return NewKey{}, huma.Error422UnprocessableEntity(err.Error())
	case err != nil:
		return NewKey{}, err
	}
	a.Log.Info("api key created", "key_sid", key.Sid, "role", key.Role, "by", identity(ctx).KeySid)
	return NewKey{key, secret}, nil
}

func (a *API) revokeKey(ctx context.Context, in *revokeKeyInput) (*struct{}, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	err := a.Keys.Revoke(ctx, in.Sid)
	switch {
	case errors.Is(err, keys.ErrUnknown):
		return nil, huma.Error404NotFound("no such key")
	case err != nil:
		return nil, a.problem(err)
	}
	a.Log.Info("api key revoked", "key_sid", in.Sid, "by", identity(ctx).KeySid)
	return nil, nil
}
