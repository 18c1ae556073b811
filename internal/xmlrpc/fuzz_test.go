package xmlrpc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// samples are bodies that the fuzzers start from.
func samples() []string {
	return []string{
		"<?xml version='1.0'?>\n<methodCall>\n<methodName>enqueue</methodName>\n<params>\n<param>\n<value><string>a &amp; b</string></value>\n</param>\n</params>\n</methodCall>\n",
		"<methodCall><methodName>m</methodName></methodCall>",
		"<methodCall><methodName>m</methodName><params/></methodCall><!-- done --> <?pi x?>",
		"<?xml version='1.0' encoding='iso-8859-1'?><methodCall><methodName>m</methodName><params><param><value>\xe9</value></param></params></methodCall>",
		response("<value><struct><member><name>a</name><value><int>-1</int></value></member><member><name>b</name><value><array><data><value/><value><nil/></value></data></array></value></member></struct></value>"),
		response("<value><double>-1.5e3</double></value>"),
		response("<value><dateTime.iso8601>2005-11-24T10:00:00Z</dateTime.iso8601></value>"),
		response("<value><base64>\naGVs\nbG8=\n</base64></value>"),
		response("<value><![CDATA[<&]]>]]&gt;\r\n&#13;&#x20AC;<!-- c -->x</value>"),
		response("<value><ex:i8 xmlns:ex=\"http://ws.apache.org/xmlrpc/namespaces/extensions\">9007199254740993</ex:i8></value>"),
		"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member><member><name>faultString</name><value><string>no</string></value></member></struct></value></fault></methodResponse>",
	}
}

func response(value string) string {
	return "<?xml version='1.0'?><methodResponse><params><param>" + value + "</param></params></methodResponse>"
}

func FuzzDecodeCall(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeCall(body, defaultLimits())
		if err != nil {
			return
		}
		once := mustEncodeCall(t, c)
		again, err := decodeCall(once, defaultLimits())
		if err != nil {
			t.Fatalf("own call is refused: %v\n%s", err, once)
		}
		if twice := mustEncodeCall(t, again); !bytes.Equal(once, twice) || c.sawNil != again.sawNil {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
	})
}

func mustEncodeCall(t *testing.T, c *call) []byte {
	t.Helper()
	b, err := encodeCall(c.method, c.params)
	if err != nil {
		t.Fatalf("what was decoded cannot be encoded: %v", err)
	}
	return b
}

func FuzzDecodeResponse(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, fault, err := decodeResponse(body, defaultLimits())
		if err != nil {
			return
		}
		once := encodeAnswer(t, v, fault)
		v, fault, err = decodeResponse(once, defaultLimits())
		if err != nil {
			t.Fatalf("own answer is refused: %v\n%s", err, once)
		}
		if twice := encodeAnswer(t, v, fault); !bytes.Equal(once, twice) {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
	})
}

func encodeAnswer(t *testing.T, v any, fault *Fault) []byte {
	t.Helper()
	if fault != nil {
		return encodeFault(fault)
	}
	e := encoder{buf: []byte(responseBegin), nilOK: true}
	if err := e.value(v, 0); err != nil {
		t.Fatalf("what was decoded cannot be encoded: %v", err)
	}
	e.raw(responseEnd)
	return e.buf
}

// FuzzScanner holds the scanner to encoding/xml: whatever it takes, encoding/xml
// takes too and reads the same out of it.
func FuzzScanner(f *testing.F) {
	for _, s := range samples() {
		f.Add(strings.TrimPrefix(s, "<?xml version='1.0'?>"))
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if !utf8.ValidString(doc) {
			return // open refuses or recodes it before a scanner sees it
		}
		got, err := scanned(doc)
		if err != nil {
			return
		}
		want, err := reference(doc)
		if err != nil {
			t.Fatalf("encoding/xml refuses %q: %v", doc, err)
		}
		if got != want {
			t.Fatalf("%q\nscanner      %q\nencoding/xml %q", doc, got, want)
		}
	})
}

// scanned spells out what the scanner reads: texts and tags, each tag with its
// end. It checks the nesting, which is the decoder's part.
func scanned(doc string) (string, error) {
	s := scanner{src: []byte(doc), max: len(doc)}
	var out strings.Builder
	var open []string
	for {
		text, err := s.text()
		if err != nil {
			return "", err
		}
		out.Write(text)
		if s.pos == len(s.src) && s.owed == nil {
			if len(open) > 0 {
				return "", errors.New("the document ends early")
			}
			return out.String(), nil
		}
		name, end, err := s.tag()
		if err != nil {
			return "", err
		}
		if !end {
			open = append(open, string(name))
			out.WriteString("\x00<" + local(string(name)))
			continue
		}
		if len(open) == 0 || open[len(open)-1] != string(name) {
			return "", errors.New("wrong nesting")
		}
		open = open[:len(open)-1]
		out.WriteString("\x00>" + local(string(name)))
	}
}

func local(name string) string {
	if prefix, rest, ok := strings.Cut(name, ":"); ok && prefix != "" && rest != "" {
		return rest
	}
	return name
}

func reference(doc string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(doc))
	var out strings.Builder
	for {
		token, err := d.Token()
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.StartElement:
			out.WriteString("\x00<" + token.Name.Local)
		case xml.EndElement:
			out.WriteString("\x00>" + token.Name.Local)
		case xml.CharData:
			out.Write(token)
		}
	}
}
