package gavel_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// habit is a way of wording that docs/style.md replaces, and how often it may
// still stand in 1,000 words. The limits are those of well-kept Go projects,
// with room for the places where the word is right.
type habit struct {
	name    string
	pattern *regexp.Regexp
	most    float64
}

var habits = []habit{
	{"nobody, somebody, whoever, whom", regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|whomever|whom)\b`), 0.3},
	{"tell, told, hear, heard", regexp.MustCompile(`(?i)\b(tell|tells|told|telling|hear|hears|heard|hearing)\b`), 0.3},
	{"knows, says, asks, wants, believes", regexp.MustCompile(`(?i)\b(knows|says|asks|wants|believes)\b`), 1.5},
	{"is none, are no", regexp.MustCompile(`(?i)\b(is none|are none|are no|is no)\b`), 0.6},
	{"by, for, of, in which or whom", regexp.MustCompile(`(?i)\b(by|for|of|in) (which|whom)\b`), 0.6},
	{"anew", regexp.MustCompile(`(?i)\banew\b`), 0.05},
}

// prose is what people read of the project, by kind and file.
type prose map[string]map[string][]string

func (p prose) add(kind, file, text string) {
	if p[kind] == nil {
		p[kind] = map[string][]string{}
	}
	p[kind][file] = append(p[kind][file], text)
}

// TestWordingIsPlain counts the habits in comments, documents, errors, log
// messages and help texts. To find them: go test -run WordingIsPlain -v .
func TestWordingIsPlain(t *testing.T) {
	t.Parallel()
	all := readProse(t)
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		words := 0
		for _, texts := range all[kind] {
			words += countWords(texts)
		}
		for _, h := range habits {
			places := h.places(all[kind])
			rate := 1000 * float64(len(places)) / float64(words)
			t.Logf("%-10s %6d words  %-36s %5.2f in 1,000 (at most %.2f)", kind, words, h.name, rate, h.most)
			if rate > h.most {
				t.Errorf("%s: %s: %.2f in 1,000 words, at most %.2f: see docs/style.md\n\t%s",
					kind, h.name, rate, h.most, strings.Join(places[:min(len(places), 20)], "\n\t"))
			}
		}
	}
}

// places lists where the habit stands, with some of the text around it.
func (h habit) places(files map[string][]string) (places []string) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, text := range files[file] {
			for _, at := range h.pattern.FindAllStringIndex(text, -1) {
				around := text[max(0, at[0]-30):min(len(text), at[1]+30)]
				places = append(places, fmt.Sprintf("%s: ...%s...", file, strings.Join(strings.Fields(around), " ")))
			}
		}
	}
	return places
}

func countWords(texts []string) (words int) {
	for _, text := range texts {
		words += len(strings.Fields(text))
	}
	return words
}

func readProse(t *testing.T) prose {
	t.Helper()
	all := prose{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case path == "docs/style.md": // it quotes what it replaces
			return nil
		case filepath.Ext(path) == ".go":
			return all.addGo(path)
		case filepath.Ext(path) == ".md":
			return all.addFile("documents", path)
		case strings.HasPrefix(filepath.ToSlash(path), "cmd/gavel/testdata/help/"):
			return all.addFile("help", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (p prose) addFile(kind, path string) error {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return err
	}
	text, err := os.ReadFile(path)
	p.add(kind, path, string(text))
	return err
}

// addGo adds the comments, and the messages of errors and log calls.
func (p prose) addGo(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, group := range file.Comments {
		p.add("comments", path, group.Text())
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if speaks(n) {
				p.addLiterals(path, n.Args)
			}
		case *ast.KeyValueExpr: // FormError{Reason: "..."}
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
				p.addLiterals(path, []ast.Expr{n.Value})
			}
		}
		return true
	})
	return nil
}

// speaks reports whether a call makes an error or writes a line of the log.
func speaks(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch f.Sel.Name {
	case "Errorf", "New", "Debug", "Info", "Warn", "Error", "Log", "DebugContext", "InfoContext", "WarnContext", "ErrorContext":
		return true
	}
	return false
}

func (p prose) addLiterals(path string, exprs []ast.Expr) {
	for _, e := range exprs {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				p.add("messages", path, text)
			}
		}
	}
}
