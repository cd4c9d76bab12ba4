package gavel_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Limits on the size of the product. A figure above its limit means that code
// must be deleted or split before more is added.
const (
	maxProductLines   = 57_500 // 41,300 for what Gavel did before it watched its own store, read all of Twilio's facts and showed decisions
	maxCommandFiles   = 35
	maxBusFiles       = 24
	maxFunctionLines  = 50
	maxFunctionLines9 = 22 // nine of ten functions
)

// notProduct are folders of tests, measurements and their tools.
var notProduct = []string{
	"bench", "compat", "examples", "failover",
	"internal/twilio/twiliofake", "projections/storetest", "internal/redistest", "internal/logtest",
}

// sourceFile is one file of the product.
type sourceFile struct {
	path   string
	lines  int
	syntax *ast.File
}

// function is one function of the product and its length in lines, from the word
// func to the closing brace.
type function struct {
	at    string
	lines int
}

func TestTheProductStaysSmall(t *testing.T) {
	t.Parallel()
	files, positions := productFiles(t)
	var lines int
	perFolder := map[string]int{}
	for _, f := range files {
		lines += f.lines
		perFolder[filepath.Dir(f.path)]++
	}
	functions := functionsOf(files, positions)
	longest := functions[len(functions)-1]
	nineOfTen := functions[len(functions)*9/10].lines
	t.Logf("%d lines in %d files and %d folders; cmd/gavel %d files, internal/bus %d files", lines, len(files), len(perFolder),
		perFolder["cmd/gavel"], perFolder["internal/bus"])
	t.Logf("%d functions: half up to %d lines, nine of ten up to %d, the longest %d (%s)", len(functions),
		functions[len(functions)/2].lines, nineOfTen, longest.lines, longest.at)
	for _, figure := range []struct {
		what       string
		got, limit int
	}{
		{"lines of the product", lines, maxProductLines},
		{"files of cmd/gavel", perFolder["cmd/gavel"], maxCommandFiles},
		{"files of internal/bus", perFolder["internal/bus"], maxBusFiles},
		{"lines of nine functions of ten", nineOfTen, maxFunctionLines9},
		{"lines of the longest function, " + longest.at, longest.lines, maxFunctionLines},
	} {
		if figure.got > figure.limit {
			t.Errorf("%s: %d, and the limit is %d", figure.what, figure.got, figure.limit)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	files, positions := productFiles(t)
	var names int
	for _, f := range files {
		for _, name := range exportedNames(f.syntax) {
			names++
			if !name.documented {
				t.Errorf("%s: %s has no doc comment", positions.Position(name.at.Pos()), name.at.Name)
			}
		}
	}
	t.Logf("%d exported names", names)
	if names == 0 {
		t.Error("no exported names were found")
	}
}

// productFiles parses the product. Its root is the folder of this test.
func productFiles(t *testing.T) ([]sourceFile, *token.FileSet) {
	t.Helper()
	var files []sourceFile
	positions := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			hidden := path != "." && strings.HasPrefix(entry.Name(), ".")
			if hidden || entry.Name() == "node_modules" || slices.Contains(notProduct, filepath.ToSlash(path)) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(positions, path, text, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, sourceFile{filepath.ToSlash(path), bytes.Count(text, []byte("\n")), syntax})
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	return files, positions
}

// functionsOf returns the functions of the product, the shortest first.
func functionsOf(files []sourceFile, positions *token.FileSet) (functions []function) {
	for _, f := range files {
		for _, declaration := range f.syntax.Decls {
			if d, ok := declaration.(*ast.FuncDecl); ok {
				begin, end := positions.Position(d.Type.Func), positions.Position(d.End())
				functions = append(functions, function{
					at: fmt.Sprintf("%s:%d %s", f.path, begin.Line, d.Name.Name), lines: end.Line - begin.Line + 1,
				})
			}
		}
	}
	slices.SortStableFunc(functions, func(a, b function) int { return a.lines - b.lines })
	return functions
}

// exportedName is a name that other packages may use.
type exportedName struct {
	at         *ast.Ident
	documented bool
}

func exportedNames(file *ast.File) (names []exportedName) {
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				names = append(names, exportedName{d.Name, d.Doc != nil})
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, exportedSpecs(d, spec)...)
			}
		}
	}
	return names
}

// exportedSpecs returns the exported names of one line of a declaration. The
// comment of a group documents all names of the group.
func exportedSpecs(d *ast.GenDecl, spec ast.Spec) (names []exportedName) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			names = append(names, exportedName{s.Name, d.Doc != nil || s.Doc != nil || s.Comment != nil})
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() {
				names = append(names, exportedName{name, d.Doc != nil || s.Doc != nil || s.Comment != nil})
			}
		}
	}
	return names
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	name, _ := kind.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}
