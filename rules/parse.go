package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gavel/rules/condition"
	"gavel/rules/schema"
)

// Bounds of a set.
const (
	maxFiles = 64
	// maxSet keeps a whole set within one JetStream message (1 MiB by default)
	// with room to spare. Bytes.
	maxSet = 768 << 10
	// maxRules bounds the work for one event: each rule is judged for each
	// event that can change it.
	maxRules = 200
)

// ReadFiles reads a rule file, or all files in a folder that end in .yaml or
// .yml, except those whose name ends in _test: they are tests of rules.
func ReadFiles(path string) ([]File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	names := []string{path}
	if info.IsDir() {
		if names, err = ruleFiles(path); err != nil {
			return nil, err
		}
	}
	var files []File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		files = append(files, File{filepath.Base(name), string(text)})
	}
	return files, nil
}

// ErrNoRules is the error of ReadFiles for a folder without rule files.
var ErrNoRules = errors.New("no rule file")

func ruleFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && isRuleFile(e.Name()) {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	if names == nil {
		return nil, fmt.Errorf("read rules in %s: %w", folder, ErrNoRules)
	}
	return names, nil
}

func isRuleFile(name string) bool {
	extension := filepath.Ext(name)
	return (extension == ".yaml" || extension == ".yml") && !strings.HasSuffix(name, "_test"+extension)
}

// Parse makes a set from files. The error is schema.Faults: all mistakes in all files.
func Parse(files ...File) (*Set, error) { return new(parser).proposed(files) }

// ParseAccepted makes a set from files that an earlier build accepted. It does not refuse what only
// checks of later engines find (schema.Fault.Since): those faults are the set's Warnings. So an
// upgrade with a new check takes no rules out of force.
func ParseAccepted(files ...File) (*Set, error) { return new(parser).accepted(files) }

func (p *parser) proposed(files []File) (*Set, error) {
	if p.parseAll(files); len(p.faults) > 0 {
		return nil, p.faults.Sorted()
	}
	return p.set, nil
}

func (p *parser) accepted(files []File) (*Set, error) {
	if p.parseAll(files); !p.faults.New() {
		return nil, p.faults.Sorted()
	}
	p.set.Warnings = p.faults.Sorted()
	return p.set, nil
}

// version is the same for the same names and texts, and only for them.
func version(files []File) string {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%d %s %d %s ", len(f.Name), f.Name, len(f.Text), f.Text)
	}
	return shortHash(sum.Sum(nil))
}

// shortHash is long enough that two hashes do not collide by chance, and short
// enough to read aloud in parts.
func shortHash(sum []byte) string { return hex.EncodeToString(sum[:12]) }

// parser makes one set from several documents.
type parser struct {
	set     *Set
	named   map[string]schema.Fault // the place of each rule by name
	keyFile map[string]string       // the file of each file-level key
	priced  []priced                // all conditions that are evaluated for events
	faults  schema.Faults
	// check adds a fault of a check that came with a later engine; only tests set it.
	check func(*builder)
}

// parseAll sets p.set and p.faults.
func (p *parser) parseAll(files []File) {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	p.set, p.named, p.keyFile = &Set{Files: files, Version: version(files)}, map[string]schema.Fault{}, map[string]string{}
	p.bounds()
	for _, file := range files {
		p.parse(file)
	}
	p.checkCosts()
	p.set.Advice = p.set.Advice.Sorted()
	p.set.shareConditions()
}

// shareConditions makes rules with the same condition share it, so that it is evaluated once for them.
func (s *Set) shareConditions() {
	first := map[string]*condition.Condition{}
	for _, r := range s.Rules {
		for _, c := range []**condition.Condition{&r.When, &r.Unless} {
			if *c == nil {
				continue
			}
			if same := first[(*c).String()]; same != nil {
				*c = same
				same.Repeats()
			}
			first[(*c).String()] = *c
		}
	}
}

func (p *parser) bounds() {
	size := 0
	for _, f := range p.set.Files {
		size += len(f.Text)
	}
	if len(p.set.Files) > maxFiles || size > maxSet {
		p.faults = append(p.faults, schema.Fault{
			File:    p.set.Files[0].Name,
			Message: fmt.Sprintf("the set has %d files with %d bytes in total; the limits are %d files and %d bytes", len(p.set.Files), size, maxFiles, maxSet),
		})
	}
}

func (p *parser) parse(file File) {
	d := schema.Read(file.Name, file.Text)
	p.fileLevel(d, file.Name)
	for _, n := range d.Root.Key("rules").Items() {
		name := n.Key("name")
		d.Rule(cmp.Or(name.Text(), "without a name"))
		if first, double := p.named[name.Text()]; double && name != nil {
			d.Fault(name.At, "a rule of that name already exists at %s:%d", first.File, first.Line)
		} else if name != nil {
			p.named[name.Text()] = schema.Fault{File: file.Name, Line: name.At.Line}
		}
		b := newBuilder(d, n, file.Name)
		if b.build(); p.check != nil {
			p.check(b)
		}
		p.set.Rules, p.priced = append(p.set.Rules, b.rule), append(p.priced, b.priced...)
		if len(p.set.Rules) == maxRules+1 {
			d.Fault(n.At, "exceeds the limit of %d rules in a set", maxRules)
		}
	}
	p.faults = append(p.faults, d.Faults...)
	p.set.Advice = append(p.set.Advice, d.Advice...)
}

// fileLevel reads the keys that apply to all rules. Each key may be in one file only.
func (p *parser) fileLevel(d *schema.Document, file string) {
	for _, name := range d.Root.Keys() {
		n := d.Root.Key(name)
		if name == "rules" || n == nil {
			continue
		}
		if first, double := p.keyFile[name]; double {
			d.Fault(n.At, "%s applies to all rules and is already set in %s", name, first)
			continue
		}
		p.keyFile[name] = file
		switch name {
		case "exempt":
			p.set.Exempt = Exempt{Labels: words(n.Key("labels")), Names: words(n.Key("names"))}
		case "quiet_hours":
			p.set.QuietHours = buildQuietHours(d, n)
		case "accounts":
			p.set.Accounts = words(n)
		case "ceiling":
			p.set.Ceiling = Ceiling{PerMinute: number(n.Key("per_minute"))}
		}
	}
}

// compile compiles a text of the file, as a condition or as an expression; nil
// for a text that is missing or that a check of the first engine refuses.
func compile[T any](d *schema.Document, n *schema.Node, as func(string) (*T, []condition.Fault)) *T {
	if n == nil {
		return nil
	}
	compiled, faults := as(n.Text())
	for _, f := range faults {
		d.FaultSince(f.Since, d.Within(n, f.Line, f.Column), "%s", f.Message)
	}
	return compiled
}
