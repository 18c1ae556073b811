package xmlrpc

import "bytes"

// A call is what a caller sent.
type call struct {
	method string
	params []any
	sawNil bool // it holds a nil, so its sender reads them too
}

// A decoder turns one document into values. It calls itself once for each
// level of arrays and structs, which the limits bound.
type decoder struct {
	scanner
	limit  limits
	count  int // of values so far
	sawNil bool
	names  map[string]string // of members: the same few come thousands of times
}

func newDecoder(body []byte, l limits) (*decoder, error) {
	s, err := open(body, l)
	if err != nil {
		return nil, err
	}
	return &decoder{scanner: s, limit: l, names: map[string]string{}}, nil
}

// maxMethod is the longest name of a method in bytes; nobody has one near it.
const maxMethod = 256

func decodeCall(body []byte, l limits) (*call, error) {
	d, err := newDecoder(body, l)
	if err != nil {
		return nil, err
	}
	if err := d.begin("methodCall"); err != nil {
		return nil, err
	}
	if err := d.begin("methodName"); err != nil {
		return nil, err
	}
	name, err := d.leaf([]byte("methodName"))
	if err != nil {
		return nil, err
	}
	c := &call{method: string(bytes.TrimSpace(name)), params: []any{}}
	if c.method == "" || len(c.method) > maxMethod {
		return nil, d.errorf("method name of %d bytes", len(c.method))
	}
	if more, err := d.more("params", "methodCall"); err != nil {
		return nil, err
	} else if more {
		if c.params, err = d.list("param", "params", d.param); err != nil {
			return nil, err
		}
		if err := d.end("methodCall"); err != nil {
			return nil, err
		}
	}
	c.sawNil = d.sawNil
	return c, d.finish()
}

// decodeResponse gives the one value of an answer, or its fault.
func decodeResponse(body []byte, l limits) (any, *Fault, error) {
	d, err := newDecoder(body, l)
	if err != nil {
		return nil, nil, err
	}
	if err := d.begin("methodResponse"); err != nil {
		return nil, nil, err
	}
	v, fault, err := d.answer()
	if err != nil {
		return nil, nil, err
	}
	if err := d.end("methodResponse"); err != nil {
		return nil, nil, err
	}
	return v, fault, d.finish()
}

func (d *decoder) answer() (v any, fault *Fault, err error) {
	name, end, err := d.next()
	switch {
	case err != nil:
		return nil, nil, err
	case !end && string(name) == "fault":
		fault, err = d.fault()
		return nil, fault, err
	case end || string(name) != "params":
		return nil, nil, d.errorf("methodResponse with %.40q", name)
	}
	if err := d.begin("param"); err != nil {
		return nil, nil, err
	}
	if v, err = d.param(); err != nil {
		return nil, nil, err
	}
	return v, nil, d.end("params")
}

func (d *decoder) fault() (*Fault, error) {
	if err := d.begin("value"); err != nil {
		return nil, err
	}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	code, hasCode := m["faultCode"].(int)
	text, hasText := m["faultString"].(string)
	if !hasCode || !hasText {
		return nil, d.errorf("fault without faultCode and faultString")
	}
	return &Fault{Code: code, Message: text}, d.end("fault")
}

// param reads the inside and the end of <param>.
func (d *decoder) param() (any, error) {
	if err := d.begin("value"); err != nil {
		return nil, err
	}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	return v, d.end("param")
}

// next gives the next tag; only white space may stand before it.
func (d *decoder) next() (name []byte, end bool, err error) {
	text, err := d.text()
	if err != nil {
		return nil, false, err
	}
	if !isBlank(text) {
		return nil, false, d.errorf("text where a tag should be")
	}
	return d.tag()
}

func (d *decoder) begin(want string) error {
	more, err := d.more(want, "")
	if err == nil && !more {
		err = d.errorf("no <%s> where it should be", want)
	}
	return err
}

func (d *decoder) end(want string) error {
	name, end, err := d.next()
	if err == nil && (!end || string(name) != want) {
		err = d.errorf("<%.40s> where </%s> should be", name, want)
	}
	return err
}

// more says whether the element begins once more; if not, its parent ends.
func (d *decoder) more(element, parent string) (bool, error) {
	name, end, err := d.next()
	switch {
	case err != nil:
		return false, err
	case !end && string(name) == element:
		return true, nil
	case end && string(name) == parent:
		return false, nil
	}
	return false, d.errorf("<%.40s> where <%s> should be", name, element)
}

// list reads elements up to the end of their parent.
func (d *decoder) list(element, parent string, read func() (any, error)) ([]any, error) {
	list := []any{}
	for {
		more, err := d.more(element, parent)
		if err != nil || !more {
			return list, err
		}
		v, err := read()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// leaf reads the text and the end of an element that holds no other.
func (d *decoder) leaf(element []byte) ([]byte, error) {
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	name, end, err := d.tag()
	if err == nil && (!end || !bytes.Equal(name, element)) {
		err = d.errorf("<%.40s> inside <%.40s>", name, element)
	}
	return text, err
}

// finish says whether nothing but white space is left.
func (d *decoder) finish() error {
	text, err := d.text()
	if err == nil && (!isBlank(text) || d.pos < len(d.src)) {
		err = d.errorf("something after the end")
	}
	return err
}

func isBlank(text []byte) bool {
	for _, c := range text {
		if !isSpace(c) {
			return false
		}
	}
	return true
}
