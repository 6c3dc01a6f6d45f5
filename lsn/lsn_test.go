package lsn

import "testing"

func TestParseReadsWhatStringWrites(t *testing.T) {
	for _, l := range []LSN{0, 1, 0x2000028, 0xFFFFFFFF, 0x1_0000_0000, 0x16_B374D848, ^LSN(0)} {
		got, err := Parse(l.String())
		if err != nil || got != l {
			t.Errorf("Parse(%q) = %v, %v; want %v", l.String(), got, err, l)
		}
	}
	if got := LSN(0x16_B374D848).String(); got != "16/B374D848" {
		t.Errorf("String() = %q", got)
	}
}

func TestParseRefusesWhatIsNoPosition(t *testing.T) {
	for _, s := range []string{"", "/", "1", "1/", "/1", "1/2/3", "g/1", "-1/1", "+1/1", "1/100000000", " 1/2", "1/2 ", "0x1/2", "1_0/2"} {
		if l, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, l)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("16/B374D848")
	f.Add("0/0")
	f.Add("1/2/3")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(l.String()); err != nil || again != l {
			t.Errorf("Parse(%q) = %v, which does not survive String: %v, %v", s, l, again, err)
		}
	})
}
