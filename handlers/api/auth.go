package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gavel/internal/keys"
)

// identityKey is the key of the identity in the context. In huma a middleware can
// pass a value to an operation only in the context.
type identityKey struct{}

// identity returns the client that authenticate has accepted, or the zero value if
// authenticate did not run.
func identity(ctx context.Context) keys.Identity {
	who, _ := ctx.Value(identityKey{}).(keys.Identity)
	return who
}

// authenticate refuses requests without a valid key.
func (a *API) authenticate(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humago.Unwrap(ctx)
		user, password := credentials(r)
		who, ok := a.Auth.Authenticate(ctx.Context(), user, password)
		if !ok {
			ctx.SetHeader("WWW-Authenticate", `Basic realm="Gavel"`)
			// An error means that the client is gone.
			_ = huma.WriteErr(h, ctx, http.StatusUnauthorized, "an API key is required: see gavel keys create")
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

// admin refuses every role except keys.Admin. It guards operations that affect all accounts.
func admin(ctx context.Context) error {
	if !identity(ctx).Is(keys.Admin) {
		return huma.Error403Forbidden("this requires an admin's API key: see gavel keys create --role")
	}
	return nil
}

// operator refuses viewers.
func operator(ctx context.Context) error {
	if !identity(ctx).Is(keys.Operator) {
		return huma.Error403Forbidden("this requires an operator's API key: see gavel keys create --role")
	}
	return nil
}

// operatorOfAll guards what touches all accounts, as rules do.
func operatorOfAll(ctx context.Context) error {
	if err := operator(ctx); err != nil {
		return err
	}
	if !identity(ctx).All() {
		return huma.Error403Forbidden("rules are for all accounts, so this requires an operator's API key for all of them")
	}
	return nil
}
