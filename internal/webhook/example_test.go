package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gavel/internal/twilio"
	"gavel/internal/webhook"
)

// A call is signed with the secret that the receiver has too. The receiver
// verifies it with any library of Standard Webhooks.
func ExampleClient_Call() {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		fmt.Println(r.Header.Get("Webhook-Id"), string(body), err)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	client, err := webhook.New(webhook.Settings{
		Secrets: []twilio.Secret{secret},
		Allow:   []string{"127.0.0.1"}, // an address inside the operator's own network
	}, time.Now, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	answer, err := client.Call(context.Background(), webhook.Request{
		URL: receiver.URL, ID: "decision-1", ContentType: "application/json", Body: []byte(`{"rule":"orphan"}`),
	})
	fmt.Println(answer.Status, err)
	// Output:
	// decision-1 {"rule":"orphan"} <nil>
	// 204 <nil>
}
