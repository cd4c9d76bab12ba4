package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gavel/internal/keys"
)

// identityKey is where the identity travels between the check and the
// operation; huma has no other way through.
type identityKey struct{}

func identity(ctx context.Context) keys.Identity {
	who, _ := ctx.Value(identityKey{}).(keys.Identity)
	return who
}

// authenticate lets nobody pass whom the keys do not know.
func (a *API) authenticate(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humago.Unwrap(ctx)
		user, password := credentials(r)
		who, ok := a.Auth.Authenticate(ctx.Context(), user, password)
		if !ok {
			ctx.SetHeader("WWW-Authenticate", `Basic realm="Gavel"`)
			// Failing to write means that the client is gone.
			_ = huma.WriteErr(h, ctx, http.StatusUnauthorized, "an API key is needed: see gavel keys create")
			return
		}
		next(huma.WithValue(ctx, identityKey{}, who))
	}
}

// credentials reads "Basic" or "Bearer SID:secret".
func credentials(r *http.Request) (user, password string) {
	if user, password, ok := r.BasicAuth(); ok {
		return user, password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ""
	}
	user, password, _ = strings.Cut(token, ":")
	return user, password
}

// admin refuses everybody else: what it guards touches all accounts.
func admin(ctx context.Context) error {
	if !identity(ctx).Is(keys.Admin) {
		return huma.Error403Forbidden("this takes an admin's API key: see gavel keys create --role")
	}
	return nil
}

// operator refuses those who only look.
func operator(ctx context.Context) error {
	if !identity(ctx).Is(keys.Operator) {
		return huma.Error403Forbidden("this takes an operator's API key: see gavel keys create --role")
	}
	return nil
}

// operatorOfAll is for what touches all accounts, as rules do.
func operatorOfAll(ctx context.Context) error {
	if err := operator(ctx); err != nil {
		return err
	}
	if !identity(ctx).All() {
		return huma.Error403Forbidden("rules are for all accounts, so this takes an operator's API key for all of them")
	}
	return nil
}
