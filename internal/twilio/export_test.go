package twilio

// RetryAfter reads the header.
var RetryAfter = retryAfter
