package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// JSON returns the form of rule files as a JSON Schema (draft 2020-12), for
// editors. Read refuses everything that the schema refuses; the schema cannot
// express that names are unique, that expressions compile, and the like.
func JSON() []byte {
	root := schemaOf(fileShape)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Gavel rules"
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic(fmt.Errorf("encode the schema: %w", err)) // it consists of texts and numbers
	}
	return b.Bytes()
}

type properties = map[string]any

func schemaOf(s *shape) properties {
	p := bare(s)
	if s.doc != "" {
		p["description"] = s.doc
	}
	return p
}

func bare(s *shape) properties {
	switch s.kind {
	case object:
		return objectSchema(s)
	case table:
		return properties{
			"type": "object", "additionalProperties": schemaOf(s.items),
			"propertyNames": properties{"pattern": whole(s.pattern)},
		}
	case list:
		p := properties{"type": "array", "items": schemaOf(s.items), "minItems": s.least}
		if s.most > 0 {
			p["maxItems"] = s.most
		}
		return p
	case number:
		return properties{"type": "integer", "minimum": s.least, "maximum": s.most}
	case flag:
		return properties{"anyOf": []any{properties{"type": "boolean"}, properties{"type": "string", "pattern": `^\$\{[\s\S]*\}$`}}}
	case template, expression:
		return properties{"type": []string{"string", "number", "boolean"}}
	}
	p := properties{"type": "string"}
	if s.values != nil {
		p["enum"] = s.values
	}
	if s.pattern != "" {
		p["pattern"] = whole(s.pattern)
	}
	return p
}

func objectSchema(s *shape) properties {
	keys, required := properties{}, []string{}
	for _, k := range s.keys {
		keys[k.name] = schemaOf(k.shape)
		if k.required {
			required = append(required, k.name)
		}
	}
	p := properties{"type": "object", "properties": keys, "additionalProperties": false}
	if len(required) > 0 {
		p["required"] = required
	}
	if s.oneOf != nil {
		var choices []any
		for _, name := range s.oneOf {
			choices = append(choices, properties{"required": []string{name}})
		}
		p["oneOf"] = choices
	}
	return p
}

func whole(pattern string) string { return "^(" + pattern + ")$" }
