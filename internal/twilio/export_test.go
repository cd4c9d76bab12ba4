package twilio

// RetryAfter parses the header.
var RetryAfter = retryAfter
