package jet

import (
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// routerLog writes watermill's log to slog without the fields that may hold a message's content.
type routerLog struct{ log *slog.Logger }

var _ watermill.LoggerAdapter = routerLog{}

// shownFields are the only fields that are logged.
var shownFields = []string{"handler_name", "handler_type", "message_uuid", "topic", "subscriber_name"}

func (l routerLog) with(fields watermill.LogFields) *slog.Logger {
	log := l.log
	for _, name := range shownFields {
		if v, ok := fields[name]; ok {
			log = log.With(name, v)
		}
	}
	return log
}

func (l routerLog) Error(msg string, err error, fields watermill.LogFields) {
	l.with(fields).Error(msg, "error", err)
}
func (l routerLog) Info(msg string, fields watermill.LogFields)  { l.with(fields).Debug(msg) }
func (l routerLog) Debug(msg string, fields watermill.LogFields) { l.with(fields).Debug(msg) }
func (l routerLog) Trace(string, watermill.LogFields)            {}

// With returns a logger with those of the fields that are logged.
func (l routerLog) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return routerLog{l.with(fields)}
}
