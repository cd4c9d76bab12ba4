package gavel_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// otherLogs are the files that write the lines of other programs: those of the
// NATS server, of Watermill and of Redis. .golangci.yml excludes the same files.
var otherLogs = []string{"app/store.go", "internal/bus/jet/routerlog.go", "internal/bus/natsd/server.go"}

// attribute is one attribute of a line of the log: its key and its value as the code has it.
type attribute struct {
	at         token.Position
	key, value string
	literal    bool // the key is a string literal
}

// A log pipeline selects lines by their message and reads fields by their name
// and unit, so both are constant and documented.
func TestEveryLogFieldIsInOperations(t *testing.T) {
	t.Parallel()
	files, positions := productFiles(t)
	used := map[string]bool{}
	for _, f := range files {
		for _, a := range attributesOf(t, f, positions) {
			if !a.literal {
				t.Errorf("%s: the key %s is not a string literal", a.at, a.key)
				continue
			}
			used[a.key] = true
			if fault := faultOf(a); fault != "" {
				t.Errorf("%s: %s", a.at, fault)
			}
		}
	}
	text, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Log fields\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .*\\|$").FindAllStringSubmatch(section, -1) {
		rows, documented[row[1]] = append(rows, row[1]), true
		if seconds := strings.Contains(row[0], "| seconds |"); seconds != strings.HasSuffix(row[1], "_seconds") {
			t.Errorf("%s: the type seconds and the ending _seconds belong together", row[1])
		}
	}
	same(t, "fields of the log in docs/operations.md", used, documented)
	if !slices.IsSorted(rows) {
		t.Errorf("fields of the log are not in the order of the alphabet: %v", rows)
	}
}

func TestAFieldOfTheLogThatBreaksARuleIsFound(t *testing.T) {
	t.Parallel()
	for _, a := range []attribute{
		{key: "took", value: "time.Since(began).Seconds()"},
		{key: "took_seconds", value: "time.Since(began)"},
		{key: "took", value: "time.Since(began)"},
		{key: "retry", value: "slog.Duration"},
		{key: "took_ms", value: "n"},
		{key: "why", value: "err"},
		{key: "tookSeconds", value: "n"},
	} {
		if faultOf(a) == "" {
			t.Errorf("%q with the value %s is accepted", a.key, a.value)
		}
	}
	for _, a := range []attribute{{key: "took_seconds", value: "took.Seconds()"}, {key: "error", value: "err"}, {key: "until", value: "at"}} {
		if fault := faultOf(a); fault != "" {
			t.Errorf("%q with the value %s: %s", a.key, a.value, fault)
		}
	}
}

var (
	snake      = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	otherUnits = regexp.MustCompile(`(^|_)(ms|millis|milliseconds|minutes|hours|duration|elapsed)$`)
	durations  = regexp.MustCompile(`^slog\.Duration|^time\.(Since|Until)\([^()]*\)$|\.(Sub|Round|Truncate|Abs)\([^()]*\)$`)
)

// faultOf returns which rule of docs/style.md an attribute breaks, or "".
func faultOf(a attribute) string {
	seconds := strings.HasSuffix(a.key, "_seconds")
	switch {
	case !snake.MatchString(a.key):
		return a.key + " is not in snake case"
	case seconds != strings.HasSuffix(a.value, ".Seconds()"), durations.MatchString(a.value),
		otherUnits.MatchString(a.key):
		return a.key + " is a duration: log x.Seconds() under a name that ends with _seconds"
	case (a.value == "err" || strings.HasSuffix(a.value, "Err")) && a.key != "error":
		return a.key + " is an error: the key is error"
	}
	return ""
}

// attributesOf returns the attributes that a file logs. It reports messages that
// are not constant.
func attributesOf(t *testing.T, f sourceFile, positions *token.FileSet) (found []attribute) {
	t.Helper()
	if slices.Contains(otherLogs, f.path) {
		return nil
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		args, message := logged(call)
		if message != nil && !isText(message) {
			t.Errorf("%s: the message of the log is not a string literal", positions.Position(message.Pos()))
		}
		for i := 0; i+1 < len(args); i += 2 {
			if isAttribute(args[i]) { // it is met as a call of its own
				i--
				continue
			}
			a := attribute{at: positions.Position(args[i].Pos()), key: types.ExprString(args[i]), value: types.ExprString(args[i+1]), literal: isText(args[i])}
			if a.literal {
				a.key, _ = strconv.Unquote(a.key)
			}
			found = append(found, a)
		}
		return true
	})
	return found
}

// logged returns the keys and values of a call that writes a line of the log or
// makes a logger or an attribute, and its message if it has one.
func logged(call *ast.CallExpr) (args []ast.Expr, message ast.Expr) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return nil, nil
	}
	if isAttribute(call) {
		if f.Sel.Name == "Duration" {
			return []ast.Expr{call.Args[0], f}, nil
		}
		return call.Args, nil
	}
	on := types.ExprString(f.X)
	on = strings.ToLower(on[strings.LastIndexByte(on, '.')+1:])
	if on != "log" && on != "logger" && on != "slog" {
		return nil, nil
	}
	skip := map[string]int{
		"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "Log": 2, "LogAttrs": 2,
		"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	}
	if n, ok := skip[f.Sel.Name]; ok && n < len(call.Args) {
		return call.Args[n+1:], call.Args[n]
	}
	if f.Sel.Name == "With" {
		return call.Args, nil
	}
	return nil, nil
}

// isAttribute reports whether an expression is slog.String or another function
// of slog that makes an attribute.
func isAttribute(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	switch types.ExprString(call.Fun) {
	case "slog.Any", "slog.Bool", "slog.Duration", "slog.Float64", "slog.Int", "slog.Int64", "slog.String", "slog.Time", "slog.Uint64":
		return true
	}
	return false
}

func isText(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}
