package xmlrpc

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeValues(t *testing.T) {
	when := time.Date(2005, 11, 24, 10, 0, 5, 0, time.UTC)
	tests := []struct {
		xml  string
		want any
	}{
		{"<value>plain</value>", "plain"},
		{"<value></value>", ""},
		{"<value/>", ""},
		{"<value> a \n b </value>", " a \n b "},
		{"<value><string> a </string></value>", " a "},
		{"<value>\n <string/>\n </value>", ""},
		{"<value><string>&lt;&amp;&gt;&quot;&apos;&#65;&#x20ac;</string></value>", "<&>\"'A€"},
		{"<value>a<!-- & < -->b<![CDATA[<c>&amp;]]>d<?pi ?>e</value>", "ab<c>&amp;de"},
		{"<value>a\r\nb\rc&#13;</value>", "a\nb\nc\r"},
		{"<value>]]</value>", "]]"},
		{"<value><int>-7</int></value>", -7},
		{"<value><i4> +7 </i4></value>", 7},
		{"<value><i8>9223372036854775807</i8></value>", math.MaxInt64},
		{"<value><ex:i8>-9223372036854775808</ex:i8></value>", math.MinInt64},
		{"<value><boolean>1</boolean></value>", true},
		{"<value><boolean> 0 </boolean></value>", false},
		{"<value><double>-1.5</double></value>", -1.5},
		{"<value><double>1e+16</double></value>", 1e16},
		{"<value><nil/></value>", nil},
		{"<value><ex:nil></ex:nil></value>", nil},
		{"<value><dateTime.iso8601>20051124T10:00:05</dateTime.iso8601></value>", when},
		{"<value><dateTime.iso8601>20051124T10:00:05Z</dateTime.iso8601></value>", when},
		{"<value><dateTime.iso8601>2005-11-24T10:00:05</dateTime.iso8601></value>", when},
		{"<value><dateTime.iso8601>2005-11-24T10:00:05Z</dateTime.iso8601></value>", when},
		{"<value><dateTime.iso8601>2005-11-24T12:00:05+02:00</dateTime.iso8601></value>", when},
		{"<value><base64>\n aGVs\r\n bG8= \n</base64></value>", []byte("hello")},
		{"<value><base64/></value>", []byte{}},
		{"<value><array><data/></array></value>", []any{}},
		{"<value><array> <data> <value>a</value> <value><int>1</int></value> </data> </array></value>", []any{"a", 1}},
		{"<value><struct/></value>", map[string]any{}},
		{"<value><struct><member><name></name><value/></member><member><name> a&amp;b </name><value><struct/></value></member></struct></value>",
			map[string]any{"": "", " a&b ": map[string]any{}}},
		{"<value a='1' xmlns:ex=\"u\"><int >1</int\n></value >", 1},
	}
	for _, tt := range tests {
		got, fault, err := decodeResponse([]byte(response(tt.xml)), defaultLimits())
		if err != nil || fault != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %#v, %v, %v, want %#v", tt.xml, got, fault, err, tt.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	documents := map[string]string{
		"":       "no <methodResponse>|ends early",
		"hello":  "text where a tag",
		"<html>": "where <methodResponse> should be",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><methodResponse/>":                                                  "document types",
		"<methodResponse><params><param><value>":                                                           "ends early",
		response("<value/>") + "<a/>":                                                                      "something after the end",
		response("<value/>") + "x":                                                                         "something after the end",
		response("<value/>") + "<?xml version='1.0'?>":                                                     "XML declaration in the wrong place",
		" " + response("<value/>"):                                                                         "XML declaration in the wrong place",
		"<?xml version='1.1'?><methodResponse/>":                                                           "XML declaration with version",
		"<?xml version='1.0' encoding='klingon'?><methodResponse/>":                                        `unknown encoding "klingon"`,
		"<?xml version='1.0' encoding='utf-8'?><methodResponse>\xe9":                                       "not the UTF-8",
		"<methodResponse><params/></methodResponse>":                                                       "should be",
		"<methodResponse/>":                                                                                "methodResponse with",
		"<methodResponse><fault><value>x</value></fault></methodResponse>":                                 "fault without",
		"<methodResponse><fault><value><struct/></value></fault></methodResponse>":                         "fault without",
		"<methodResponse><params><param><value/></param><param><value/></param></params></methodResponse>": "should be",
	}
	for value, want := range map[string]string{
		"<value>a<int>1</int></value>":                                                "text beside <int>",
		"<value><int>1</int>a</value>":                                                "text where a tag",
		"<value><int>1</int><int>1</int></value>":                                     "where </value> should be",
		"<value><int>1</i4></value>":                                                  "<i4> inside <int>",
		"<value><int></int></value>":                                                  "invalid syntax",
		"<value><int>1.0</int></value>":                                               "invalid syntax",
		"<value><int>9223372036854775808</int></value>":                               "out of range",
		"<value><boolean>true</boolean></value>":                                      "neither 0 nor 1",
		"<value><double>NaN</double></value>":                                         "invalid syntax",
		"<value><double>Inf</double></value>":                                         "invalid syntax",
		"<value><double>0x1p4</double></value>":                                       "invalid syntax",
		"<value><double>1e999</double></value>":                                       "out of range",
		"<value><dateTime.iso8601>yesterday</dateTime.iso8601></value>":               "no time",
		"<value><dateTime.iso8601>99991231T23:59:59-05:00</dateTime.iso8601></value>": "no time",
		"<value><base64>a</base64></value>":                                           "illegal base64",
		"<value><base64>a*==</base64></value>":                                        "illegal base64",
		"<value><nil>0</nil></value>":                                                 "has content",
		"<value><money>1</money></value>":                                             "unknown type",
		"<value><array><value/></array></value>":                                      "where <data> should be",
		"<value><struct><member><value/><name>a</name></member></struct></value>":     "where <name> should be",
		"<value><struct><member><name>a</name></member></struct></value>":             "where <value> should be",
		"<value><struct><member><name>a</name><value/></member><member><name>a</name><value/></member></struct></value>": "twice",
		"<value>&nbsp;</value>":          "unknown reference &nbsp;",
		"<value>&#0;</value>":            "unknown reference",
		"<value>&#xD800;</value>":        "unknown reference",
		"<value>&#x110000;</value>":      "unknown reference",
		"<value>&# 65;</value>":          "unknown reference",
		"<value>a & b</value>":           "begins no reference",
		"<value>\x00</value>":            "does not allow",
		"<value>\uFFFE</value>":          "does not allow",
		"<value>]]></value>":             "outside of CDATA",
		"<value><!-- a -- b --></value>": "comment",
		"<value><![CDATA[</value>":       "CDATA that does not end",
		"<value><?pi</value>":            "processing instruction",
		"<value a></value>":              "attribute without",
		"<value a=1></value>":            "without quotes",
		"<value a='<'></value>":          "not plain",
		"<value a='1'b='2'></value>":     "does not end",
		"<value></value a='1'>":          "does not end",
		"<väl/>":                         "none in ASCII",
		"< value/>":                      "no name",
	} {
		documents[response(value)] = want
	}
	for doc, want := range documents {
		v, fault, err := decodeResponse([]byte(doc), defaultLimits())
		if err == nil {
			t.Errorf("%q: got %v, %v, want an error with %q", doc, v, fault, want)
		} else if one, other, _ := strings.Cut(want, "|"); !strings.Contains(err.Error(), one) && (other == "" || !strings.Contains(err.Error(), other)) {
			t.Errorf("%q: got error %q, want one with %q", doc, err, want)
		}
	}
}

func TestDecodeCall(t *testing.T) {
	const all = "<methodCall><methodName> m.n </methodName>%</methodCall>"
	tests := []struct {
		params string
		want   []any // nil: refused
		sawNil bool
	}{
		{"", []any{}, false},
		{"<params/>", []any{}, false},
		{"<params><param><value>a</value></param><param><value><int>1</int></value></param></params>", []any{"a", 1}, false},
		{"<params><param><value><array><data><value><nil/></value></data></array></value></param></params>", []any{[]any{nil}}, true},
		{"<params><value>a</value></params>", nil, false},
		{"<params/><params/>", nil, false},
		{"<params><param/></params>", nil, false},
	}
	for _, tt := range tests {
		c, err := decodeCall([]byte(strings.Replace(all, "%", tt.params, 1)), defaultLimits())
		if tt.want == nil {
			if err == nil {
				t.Errorf("%s: got %+v, want an error", tt.params, c)
			}
			continue
		}
		if want := (&call{"m.n", tt.want, tt.sawNil}); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.params, c, err, want)
		}
	}
	for _, name := range []string{"", " ", strings.Repeat("x", maxMethod+1)} {
		if c, err := decodeCall([]byte("<methodCall><methodName>"+name+"</methodName></methodCall>"), defaultLimits()); err == nil {
			t.Errorf("name of %d bytes: got %+v, want an error", len(name), c)
		}
	}
}

func TestEncodings(t *testing.T) {
	body := func(encoding, text string) string {
		return "<?xml version='1.0' encoding='" + encoding + "'?>\n<methodResponse><params><param><value>" + text + "</value></param></params></methodResponse>"
	}
	utf16 := func(s string, big bool) string {
		var b strings.Builder
		for _, r := range "\uFEFF" + s {
			if big {
				b.WriteByte(byte(r >> 8))
			}
			b.WriteByte(byte(r))
			if !big {
				b.WriteByte(byte(r >> 8))
			}
		}
		return b.String()
	}
	tests := []struct{ body, want string }{
		{body("UTF-8", "é€"), "é€"},
		{"\uFEFF" + body("utf-8", "é"), "é"},
		{body("ISO-8859-1", "\xe9\x80"), "é\u0080"}, // IANA's, not the web's which is windows-1252
		{body("iso-8859-15", "\xa4"), "€"},
		{body("windows-1252", "\x80"), "€"},
		{body("koi8-r", "\xc1"), "а"},
		{body("US-ASCII", "a"), "a"},
		{body("Shift_JIS", "\x83\x76"), "プ"},
		{utf16(body("utf-16", "é€"), true), "é€"},
		{utf16(body("utf-16", "é€"), false), "é€"},
	}
	for _, tt := range tests {
		if got, _, err := decodeResponse([]byte(tt.body), defaultLimits()); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.body, got, err, tt.want)
		}
	}
}

func TestEncodeValues(t *testing.T) {
	self := []any{nil}
	self[0] = self
	tests := []struct {
		v     any
		nilOK bool
		want  string // empty: refused
	}{
		{nil, true, "<nil/>"},
		{nil, false, "<string></string>"},
		{true, false, "<boolean>1</boolean>"},
		{math.MaxInt32, false, "<int>2147483647</int>"},
		{math.MinInt32, false, "<int>-2147483648</int>"},
		{math.MaxInt32 + 1, false, "<i8>2147483648</i8>"},
		{int64(math.MinInt64), false, "<i8>-9223372036854775808</i8>"},
		{0.1, false, "<double>0.1</double>"},
		{1e21, false, "<double>1000000000000000000000</double>"},
		{math.Inf(1), false, ""},
		{math.NaN(), false, ""},
		{"a<&>\"'\r\n\x1b\xff€", false, "<string>a&lt;&amp;&gt;\"'&#13;\n\uFFFD\uFFFD€</string>"},
		{"\uFFFF\uFFFD", false, "<string>\uFFFD\uFFFD</string>"},
		{time.Date(2005, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), false, "<dateTime.iso8601>20050102T02:04:05</dateTime.iso8601>"},
		{time.Time{}, false, "<dateTime.iso8601>00010101T00:00:00</dateTime.iso8601>"},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), false, ""},
		{[]byte("hello"), false, "<base64>aGVsbG8=</base64>"},
		{[]any{1, "a"}, false, "<array><data><value><int>1</int></value><value><string>a</string></value></data></array>"},
		{[]string{"a"}, false, "<array><data><value><string>a</string></value></data></array>"},
		{[]string(nil), false, "<array><data></data></array>"},
		{[]int{1}, false, "<array><data><value><int>1</int></value></data></array>"},
		{[]map[string]any{{"b": 1, "a": 2}}, false, "<array><data><value><struct><member><name>a</name><value><int>2</int></value></member><member><name>b</name><value><int>1</int></value></member></struct></value></data></array>"},
		{struct{ UID int64 }{7}, false, "<struct><member><name>uid</name><value><int>7</int></value></member></struct>"},
		{make(chan int), false, ""},
		{self, false, ""},
	}
	for _, tt := range tests {
		e := encoder{nilOK: tt.nilOK}
		err := e.value(tt.v, 0)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%T: got %.200s, want an error", tt.v, e.buf)
			}
		} else if want := "<value>" + tt.want + "</value>"; err != nil || string(e.buf) != want {
			t.Errorf("%v: got %s, %v, want %s", tt.v, e.buf, err, want)
		}
	}
}

func TestFaultRoundTrip(t *testing.T) {
	want := &Fault{Code: -32601, Message: "no <such> method"}
	v, got, err := decodeResponse(encodeFault(want), defaultLimits())
	if err != nil || v != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, %v, want %v", v, got, err, want)
	}
}
