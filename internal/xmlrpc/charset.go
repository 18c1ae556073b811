package xmlrpc

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxCharset is longer than any name that IANA has registered.
const maxCharset = 64

// open gives a scanner that stands behind the XML declaration of a body in any
// encoding: the one its byte order mark says, else the one it declares, else
// UTF-8. It may grow up to the limit of a body on the way.
func open(body []byte, l limits) (scanner, error) {
	doc, err := toUTF8(body, l.body)
	if err != nil {
		return scanner{}, err
	}
	_, size, err := declaration(doc)
	return scanner{src: doc, pos: size, max: l.text}, err
}

func toUTF8(body []byte, limit int64) ([]byte, error) {
	if bytes.HasPrefix(body, []byte("\xFE\xFF")) || bytes.HasPrefix(body, []byte("\xFF\xFE")) {
		return recode(body, unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM), limit)
	}
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	name, _, err := declaration(body)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(name) {
	case "", "utf-8", "us-ascii":
		if !utf8.Valid(body) {
			return nil, fmt.Errorf("the body is not the UTF-8 it should be")
		}
		return body, nil
	}
	from, err := ianaindex.IANA.Encoding(name)
	if err != nil || from == nil {
		return nil, fmt.Errorf("unknown encoding %.40q", name)
	}
	return recode(body, from, limit)
}

func recode(body []byte, from encoding.Encoding, limit int64) ([]byte, error) {
	r := transform.NewReader(bytes.NewReader(body), from.NewDecoder())
	doc, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("the body is not in the encoding it declares: %w", err)
	}
	if int64(len(doc)) > limit {
		return nil, fmt.Errorf("the body is longer than %d bytes in UTF-8", limit)
	}
	return doc, nil
}

// declaration reads an XML declaration: the encoding it names and its size, or
// nothing if the document begins without.
func declaration(doc []byte) (charset string, size int, err error) {
	const begin = "<?xml"
	if !bytes.HasPrefix(doc, []byte(begin)) || len(doc) == len(begin) || !isSpace(doc[len(begin)]) {
		return "", 0, nil
	}
	end := bytes.Index(doc, []byte("?>"))
	if end < 0 {
		return "", 0, fmt.Errorf("the XML declaration does not end")
	}
	s := scanner{src: doc[:end], pos: len(begin)}
	for s.space(); s.pos < end; s.space() {
		name, value, err := s.attribute()
		if err != nil {
			return "", 0, err
		}
		switch {
		case string(name) == "version" && string(value) == "1.0":
		case string(name) == "encoding" && len(value) <= maxCharset:
			charset = string(value)
		case string(name) == "standalone":
		default:
			return "", 0, s.errorf("XML declaration with %.40s=%.40q", name, value)
		}
	}
	return charset, end + len("?>"), nil
}
