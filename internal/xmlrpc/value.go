package xmlrpc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// value reads the inside and the end of <value>.
func (d *decoder) value(depth int) (any, error) {
	if d.count++; d.count > d.limit.values {
		return nil, d.errorf("more than %d values", d.limit.values)
	}
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	name, end, err := d.tag()
	if err != nil {
		return nil, err
	}
	if end { // the specification: a value without a type is a string
		if string(name) != "value" {
			return nil, d.errorf("</%.40s> in place of </value>", name)
		}
		return string(text), nil
	}
	if !isBlank(text) {
		return nil, d.errorf("text beside <%.40s>", name)
	}
	v, err := d.typed(name, depth)
	if err != nil {
		return nil, err
	}
	return v, d.end("value")
}

func (d *decoder) typed(name []byte, depth int) (any, error) {
	container := string(name) == "array" || string(name) == "struct"
	if container && depth >= d.limit.depth {
		return nil, d.errorf("more than %d arrays and structs inside each other", d.limit.depth)
	}
	switch {
	case !container:
		text, err := d.leaf(name)
		if err != nil {
			return nil, err
		}
		return d.scalar(name, text)
	case string(name) == "struct":
		return d.structure(depth + 1)
	}
	if err := d.begin("data"); err != nil {
		return nil, err
	}
	list, err := d.list("value", "data", func() (any, error) { return d.value(depth + 1) })
	if err != nil {
		return nil, err
	}
	return list, d.end("array")
}

func (d *decoder) structure(depth int) (map[string]any, error) {
	m := map[string]any{}
	for {
		more, err := d.more("member", "struct")
		if err != nil || !more {
			return m, err
		}
		name, err := d.memberName()
		if err != nil {
			return nil, err
		}
		if _, twice := m[name]; twice {
			return nil, d.errorf("member %.40q twice in one struct", name)
		}
		if err := d.begin("value"); err != nil {
			return nil, err
		}
		if m[name], err = d.value(depth); err != nil {
			return nil, err
		}
		if err := d.end("member"); err != nil {
			return nil, err
		}
	}
}

func (d *decoder) memberName() (string, error) {
	if err := d.begin("name"); err != nil {
		return "", err
	}
	text, err := d.leaf([]byte("name"))
	if err != nil {
		return "", err
	}
	name, known := d.names[string(text)]
	if !known {
		name = string(text)
		d.names[name] = name
	}
	return name, nil
}

func (d *decoder) scalar(name, text []byte) (any, error) {
	trimmed := bytes.TrimSpace(text)
	var v any
	var err error
	switch string(name) {
	case "string":
		return string(text), nil
	case "int", "i4", "i8", "ex:i8", "i1", "i2", "ex:i1", "ex:i2":
		v, err = strconv.Atoi(string(trimmed))
	case "boolean":
		if string(trimmed) != "0" && string(trimmed) != "1" {
			err = errors.New("neither 0 nor 1")
		}
		v = string(trimmed) == "1"
	case "double":
		v, err = parseDouble(trimmed)
	case "dateTime.iso8601":
		v, err = parseTime(string(trimmed))
	case "base64":
		v, err = parseBase64(trimmed)
	case "nil", "ex:nil":
		if len(trimmed) > 0 {
			err = errors.New("it has content")
		}
		d.sawNil = true
	default:
		err = errors.New("unknown type")
	}
	if err != nil {
		return nil, d.errorf("<%.40s>%.40q: %w", name, trimmed, unwrapNumber(err))
	}
	return v, nil
}

// unwrapNumber drops the function and the text, which may be long, from an
// error of strconv.
func unwrapNumber(err error) error {
	if e, ok := errors.AsType[*strconv.NumError](err); ok {
		return e.Err
	}
	return err
}

// parseDouble refuses what ParseFloat takes beyond the specification, such as
// NaN, infinities and hexadecimal; an exponent is what Python writes.
func parseDouble(text []byte) (float64, error) {
	for _, c := range text {
		if !('0' <= c && c <= '9') && bytes.IndexByte([]byte("+-.eE"), c) < 0 {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseFloat(string(text), 64)
}

// timeLayout is how times are written: the specification's form, always UTC.
const timeLayout = "20060102T15:04:05"

// parseTime reads that form and ISO 8601's others, with dashes, with Z or a
// zone; without one it is UTC.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{timeLayout, timeLayout + "Z07:00", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			if t = t.UTC(); t.Year() < 0 || t.Year() > maxYear {
				break
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("no time such as %s", timeLayout)
}

const maxYear = 9999

func parseBase64(text []byte) ([]byte, error) {
	packed := make([]byte, 0, len(text))
	for _, c := range text {
		if !isSpace(c) {
			packed = append(packed, c)
		}
	}
	n, err := base64.StdEncoding.Decode(packed, packed)
	return packed[:n], err
}
