package doctor

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// setupTwilio are the steps of SetupTwilio. The rule comes last: until it exists Twilio signs as before,
// and then Gavel has the secret and has accepted a signature that it made.
const setupTwilio = `# Shared keys for %[1]s of account %[2]s. Run the steps in this order, with an API key of the account:
export TWILIO_API_KEY=SK... TWILIO_API_SECRET=...

# 1. A shared key. Twilio shows its secret once: note id and secret.
curl -u "$TWILIO_API_KEY:$TWILIO_API_SECRET" -H 'Content-Type: application/json' -H 'Idempotency-Key: %[4]s' \
  -d '{"friendlyName": "gavel"}' https://webhooks.twilio.com/v1/Webhooks/SharedKeys
export SHARED_KEY=webhooks_sharedkey_...

# 2. Put both into shared_keys of the account in gavel.yaml of every door, and send SIGHUP to every process.
#    gavel_key_matched_total then shows the key, with 0.

# 3. A setting that signs with it and keeps the retries: without retryPolicy every callback that fails once is lost.
#    If Twilio answers 59000: about retryCount, use the greatest that it accepts; about auth, add what Gavel ignores:
#    "auth": {"source": "INLINE", "value": {"scheme": "BASIC", "username": "gavel", "password": "unused"}}
curl -u "$TWILIO_API_KEY:$TWILIO_API_SECRET" -H 'Content-Type: application/json' -H 'Idempotency-Key: %[5]s' \
  -d '{"friendlyName": "gavel", "signature": {"type": "SHARED_KEY", "sharedKeyId": "'$SHARED_KEY'", "algorithm": "HMAC_SHA256"},
       "connection": {"connectTimeoutMs": 5000, "readTimeoutMs": 15000, "totalTimeoutMs": 60000,
                      "retryPolicy": {"retryCount": 5, "retryOn": ["ALL"]}}}' https://webhooks.twilio.com/v1/Webhooks/Settings
export SETTING=webhooks_setting_...

# 4. Twilio itself calls the door with the setting. Go on only if result.response.statusCode is 2xx.
curl -u "$TWILIO_API_KEY:$TWILIO_API_SECRET" -H 'Content-Type: application/json' \
  -d '{"url": "%[1]s/twilio/conference", "settingId": "'$SETTING'", "method": "POST"}' https://webhooks.twilio.com/v1/Webhooks/Tests

# 5. The setting of type SYSTEM, which signs as before.
curl -u "$TWILIO_API_KEY:$TWILIO_API_SECRET" 'https://webhooks.twilio.com/v1/Webhooks/Settings?type=SYSTEM'
export SYSTEM=webhooks_setting_...

# 6. The rule: %[3]d %% of the callbacks with the new signature. It takes effect within a minute; gavel doctor shows it.
curl -u "$TWILIO_API_KEY:$TWILIO_API_SECRET" -H 'Content-Type: application/json' -H 'Idempotency-Key: %[6]s' \
  -d '{"friendlyName": "gavel", "matchType": "PREFIX_MATCH", "prefix": "%[1]s/twilio/",
       "settings": [%[7]s]}' https://webhooks.twilio.com/v1/Webhooks/Rules
export RULE=webhooks_rule_...

# 7. On to 100 %%, or back to 0 %%: PATCH the rule with other percentages that sum to 100.
curl -X PATCH -u "$TWILIO_API_KEY:$TWILIO_API_SECRET" -H 'Content-Type: application/json' -H 'Idempotency-Key: %[8]s' \
  -d '{"matchType": "PREFIX_MATCH", "prefix": "%[1]s/twilio/", "settings": [{"settingId": "'$SETTING'", "percentage": 100}]}' \
  https://webhooks.twilio.com/v1/Webhooks/Rules/$RULE
`

// SetupTwilio returns the requests that make Twilio sign percent (1 to 100) of the callbacks to
// publicURL with a shared key, as curl commands. Keys of idempotency are UUIDs of version 7, made at now.
func SetupTwilio(accountSid, publicURL string, percent int, now time.Time) string {
	shares := fmt.Sprintf(`{"settingId": "'$SETTING'", "percentage": %d}`, percent)
	if percent < 100 {
		shares += fmt.Sprintf(`, {"settingId": "'$SYSTEM'", "percentage": %d}`, 100-percent)
	}
	return fmt.Sprintf(setupTwilio, publicURL, accountSid, percent, uuid7(now), uuid7(now), uuid7(now), shares, uuid7(now))
}

// uuid7 makes a UUID of version 7 (RFC 9562, 5.7): milliseconds, then random bits.
func uuid7(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16|uint64(binary.BigEndian.Uint16(b[6:8])))
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
