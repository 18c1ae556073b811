package cli

import (
	"fmt"
	"slices"
	"strings"

	"plague"
)

// readPython reads a CONFIG.py of 2005 as what it nearly always is: literal
// assignments config_opts['name'] = value, with strings, numbers, True and
// False, lists, and dictionaries whose keys count. Anything else is an error
// with its line: the file is never executed.
func readPython(file string, data []byte, known []string) (*settings, error) {
	p := &python{file: file, rest: string(data), line: 1}
	s := &settings{file: file, set: map[string]setting{}}
	for {
		p.space(true)
		if p.rest == "" {
			return s, nil
		}
		line := p.line
		name, err := p.assigned()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(known, name) {
			return nil, unknown(file, line, "option", name, known)
		}
		list, text, err := p.value(0)
		if err != nil {
			return nil, err
		}
		s.set[name] = setting{text: text, list: list, line: line}
		p.space(false)
		if p.rest != "" && p.rest[0] != '\n' && p.rest[0] != ';' {
			return nil, p.wrong("this is more than a literal value")
		}
		p.rest = strings.TrimPrefix(p.rest, ";")
	}
}

// python reads literals.
type python struct {
	file string
	rest string
	line int
}

func (p *python) wrong(why string) error {
	return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s:%d: %s", p.file, p.line, why),
		"only config_opts['name'] = literal is read; the file is never executed")
}

func (p *python) eat(n int) string {
	got := p.rest[:n]
	p.line += strings.Count(got, "\n")
	p.rest = p.rest[n:]
	return got
}

// space skips blanks and comments, and lines where they mean nothing.
func (p *python) space(lines bool) {
	for p.rest != "" {
		switch c := p.rest[0]; {
		case c == '#':
			end := strings.IndexByte(p.rest, '\n')
			if end < 0 {
				end = len(p.rest)
			}
			p.eat(end)
		case c == ' ' || c == '\t' || c == '\r' || lines && c == '\n':
			p.eat(1)
		case strings.HasPrefix(p.rest, "\\\n"):
			p.eat(2)
		default:
			return
		}
	}
}

func (p *python) assigned() (string, error) {
	m := assignment().FindStringSubmatchIndex(p.rest)
	if m == nil || m[0] != 0 {
		return "", p.wrong("this is not an assignment to config_opts")
	}
	name := p.rest[m[2]:m[3]]
	p.eat(m[1])
	return name, nil
}

// value reads one literal: the words in it, and its text when it is a scalar.
func (p *python) value(depth int) ([]string, string, error) {
	p.space(depth > 0)
	if p.rest == "" || depth > 4 {
		return nil, "", p.wrong("a value is missing")
	}
	switch c := p.rest[0]; c {
	case '\'', '"':
		s, err := p.quoted(c)
		return []string{s}, s, err
	case '[', '(', '{':
		list, err := p.list(depth, map[byte]byte{'[': ']', '(': ')', '{': '}'}[c])
		return list, strings.Join(list, "\n"), err
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return strings.ContainsRune(",:]})\n \t#;", r) })
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	number := strings.Trim(word, "0123456789.-") == "" && word != ""
	if !number && word != "True" && word != "False" && word != "None" {
		return nil, "", p.wrong(fmt.Sprintf("%q is not a literal", word))
	}
	p.eat(end)
	if word == "None" {
		word = ""
	}
	return []string{word}, word, nil
}

func (p *python) quoted(q byte) (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest) && p.rest[i] != '\n'; i++ {
		switch c := p.rest[i]; {
		case c == q:
			p.eat(i + 1)
			return b.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.wrong("a string does not end")
}

// list reads the elements of a list, a tuple or a dictionary; of a dictionary
// only the keys: its values were the arches of a target, which target files
// say now.
func (p *python) list(depth int, end byte) ([]string, error) {
	p.eat(1)
	all := []string{}
	for {
		p.space(true)
		if p.rest == "" {
			return nil, p.wrong("a list does not end")
		}
		if p.rest[0] == end {
			p.eat(1)
			return all, nil
		}
		words, _, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		all = append(all, words...)
		p.space(true)
		if end == '}' && strings.HasPrefix(p.rest, ":") {
			p.eat(1)
			if _, _, err := p.value(depth + 1); err != nil {
				return nil, err
			}
			p.space(true)
		}
		if strings.HasPrefix(p.rest, ",") {
			p.eat(1)
		} else if p.rest == "" || p.rest[0] != end {
			return nil, p.wrong("a comma or the list's end is missing")
		}
	}
}
