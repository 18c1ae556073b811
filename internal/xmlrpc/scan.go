package xmlrpc

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A scanner reads XML in UTF-8: text and tags, alternately. It takes less than
// XML allows: names in ASCII, no document type and so no entities but the five
// of XML itself. What it takes means the same to encoding/xml, which a fuzz
// target holds; it exists because it is several times as fast. Its cost is
// linear in the document whatever is in there.
type scanner struct {
	src  []byte
	pos  int
	max  int    // bytes of one text
	buf  []byte // the text that text returned last
	owed []byte // name of an element written <name/> whose end tag has not been given
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: "+format, append([]any{s.pos}, args...)...)
}

func (s *scanner) at(prefix string) bool {
	return len(s.src)-s.pos >= len(prefix) && string(s.src[s.pos:s.pos+len(prefix)]) == prefix
}

// take goes over one byte if it is the next.
func (s *scanner) take(c byte) bool {
	if s.pos < len(s.src) && s.src[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// space goes over white space and says whether there was any.
func (s *scanner) space() bool {
	from := s.pos
	for s.pos < len(s.src) && isSpace(s.src[s.pos]) {
		s.pos++
	}
	return s.pos > from
}

// text gives the characters up to the next tag or the end, over comments,
// processing instructions and CDATA. They are valid until the next text.
func (s *scanner) text() ([]byte, error) {
	s.buf = s.buf[:0]
	if s.owed != nil {
		return s.buf, nil
	}
	for {
		run := s.src[s.pos:]
		if i := bytes.IndexByte(run, '<'); i >= 0 {
			run = run[:i]
		}
		err := s.add(run, false)
		s.pos += len(run)
		if err != nil {
			return nil, err
		}
		switch {
		case s.at("<!--"):
			err = s.comment()
		case s.at("<![CDATA["):
			err = s.cdata()
		case s.at("<?"):
			err = s.instruction()
		case s.at("<!"):
			err = s.errorf("document types are not accepted")
		default:
			return s.buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// add puts a run of characters behind the text.
func (s *scanner) add(run []byte, cdata bool) error {
	for {
		n := plain(run)
		s.buf = append(s.buf, run[:n]...)
		run = run[n:]
		if len(s.buf) > s.max {
			return s.errorf("text is longer than %d bytes", s.max)
		}
		if len(run) == 0 {
			return nil
		}
		n, err := s.special(run, cdata)
		if err != nil {
			return err
		}
		run = run[n:]
	}
}

// plain counts the bytes that stand for themselves.
func plain(run []byte) int {
	for i, c := range run {
		if (c < ' ' && c != '\n' && c != '\t') || c >= utf8.RuneSelf || c == '&' || c == ']' {
			return i
		}
	}
	return len(run)
}

// special adds what begins with another byte and says how long it was.
func (s *scanner) special(run []byte, cdata bool) (int, error) {
	switch c := run[0]; {
	case c == '&' && !cdata:
		return s.entity(run)
	case c == ']' && !cdata && bytes.HasPrefix(run, []byte("]]>")):
		return 0, s.errorf("]]> outside of CDATA")
	case c == '&' || c == ']':
		s.buf = append(s.buf, c)
		return 1, nil
	case c == '\r': // XML 1.0, 2.11: every end of a line is read as one \n
		s.buf = append(s.buf, '\n')
		if len(run) > 1 && run[1] == '\n' {
			return 2, nil
		}
		return 1, nil
	}
	r, size := utf8.DecodeRune(run)
	if r == utf8.RuneError && size == 1 || !isChar(r) {
		return 0, s.errorf("a character that XML does not allow")
	}
	s.buf = append(s.buf, run[:size]...)
	return size, nil
}

// maxReference is longer than any character reference anybody writes.
const maxReference = 32

func (s *scanner) entity(run []byte) (int, error) {
	end := bytes.IndexByte(run[:min(len(run), maxReference)], ';')
	if end < 0 {
		return 0, s.errorf("& that begins no reference")
	}
	name := string(run[1:end])
	switch name {
	case "lt":
		s.buf = append(s.buf, '<')
	case "gt":
		s.buf = append(s.buf, '>')
	case "amp":
		s.buf = append(s.buf, '&')
	case "apos":
		s.buf = append(s.buf, '\'')
	case "quot":
		s.buf = append(s.buf, '"')
	default:
		digits, ok := strings.CutPrefix(name, "#")
		base := 10
		if hex, found := strings.CutPrefix(digits, "x"); found {
			digits, base = hex, 16
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if !ok || err != nil || n > utf8.MaxRune || !isChar(rune(n)) {
			return 0, s.errorf("unknown reference &%s;", name)
		}
		s.buf = utf8.AppendRune(s.buf, rune(n))
	}
	return end + 1, nil
}

func (s *scanner) comment() error {
	body := s.src[s.pos+len("<!--"):]
	end := bytes.Index(body, []byte("--"))
	if end < 0 || !bytes.HasPrefix(body[end:], []byte("-->")) {
		return s.errorf("comment that does not end, or holds --")
	}
	s.pos += len("<!--") + end + len("-->")
	return nil
}

func (s *scanner) cdata() error {
	body := s.src[s.pos+len("<![CDATA["):]
	end := bytes.Index(body, []byte("]]>"))
	if end < 0 {
		return s.errorf("CDATA that does not end")
	}
	s.pos += len("<![CDATA[") + end + len("]]>")
	return s.add(body[:end], true)
}

func (s *scanner) instruction() error {
	s.pos += len("<?")
	name, err := s.name()
	if err != nil {
		return err
	}
	end := bytes.Index(s.src[s.pos:], []byte("?>"))
	if end < 0 || strings.EqualFold(string(name), "xml") {
		return s.errorf("processing instruction that does not end, or the XML declaration in the wrong place")
	}
	s.pos += end + len("?>")
	return nil
}

// tag gives the tag that follows a text; attributes are read over. An element
// written <name/> gives its start and then its end.
func (s *scanner) tag() (name []byte, end bool, err error) {
	if s.owed != nil {
		name, s.owed = s.owed, nil
		return name, true, nil
	}
	if !s.take('<') {
		return nil, false, s.errorf("the document ends early")
	}
	end = s.take('/')
	if name, err = s.name(); err != nil {
		return nil, false, err
	}
	for {
		spaced := s.space()
		switch {
		case s.take('>'):
			return name, end, nil
		case !end && s.at("/>"):
			s.pos += len("/>")
			s.owed = name
			return name, false, nil
		case end || !spaced:
			return nil, false, s.errorf("tag %.40q that does not end", name)
		}
		if _, _, err := s.attribute(); err != nil {
			return nil, false, err
		}
	}
}

// attribute reads one; its value may hold plain ASCII only, which is all that
// XML-RPC and its extensions have use for.
func (s *scanner) attribute() (name, value []byte, err error) {
	if name, err = s.name(); err != nil {
		return nil, nil, err
	}
	s.space()
	if !s.take('=') {
		return nil, nil, s.errorf("attribute without a value")
	}
	s.space()
	if s.pos >= len(s.src) || s.src[s.pos] != '"' && s.src[s.pos] != '\'' {
		return nil, nil, s.errorf("attribute value without quotes")
	}
	value = s.src[s.pos+1:]
	end := bytes.IndexByte(value, s.src[s.pos])
	if end < 0 || plain(value[:end]) < end || bytes.IndexByte(value[:end], '<') >= 0 {
		return nil, nil, s.errorf("attribute value that does not end, or is not plain")
	}
	s.pos += end + 2
	return name, value[:end], nil
}

func (s *scanner) name() ([]byte, error) {
	from, colons := s.pos, 0
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		inner := '0' <= c && c <= '9' || c == '.' || c == '-' || c == ':' && colons == 0
		if !letter && (!inner || s.pos == from) {
			break
		}
		if c == ':' {
			colons++
		}
		s.pos++
	}
	if s.pos == from || s.pos < len(s.src) && s.src[s.pos] >= utf8.RuneSelf {
		return nil, s.errorf("no name, or none in ASCII, where one should be")
	}
	return s.src[from:s.pos], nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// isChar is the production Char of XML 1.0.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || ' ' <= r && r <= 0xD7FF ||
		0xE000 <= r && r <= 0xFFFD || 0x10000 <= r && r <= utf8.MaxRune
}
