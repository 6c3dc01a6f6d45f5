package recoveryconf

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ParseTime returns what a recovery_target_time can mean: one instant when it says UTC, GMT or a number of hours, and a span of
// 26 hours when it has another zone or none, because only the server knows its time zone and abbreviations. It reads the forms
// "2016-02-13", "2016-02-13 11:50", "2016-02-13T11:50:00.25+09:00", "13-FEB-2016 11:50:00" and "13-FEB-16 11:50:00" (which can be
// the year 13 as well, by the server's DateStyle). It is not ok for others, which the server may still understand.
func ParseTime(s string) (earliest, latest time.Time, ok bool) {
	times, zone, err := parseTime(s)
	if err != nil {
		return time.Time{}, time.Time{}, false
	}
	before, after := -14*time.Hour, 12*time.Hour // from UTC+14 to UTC-12
	if offset, exact := zoneOffset(zone); exact {
		before, after = -offset, -offset
	}
	earliest, latest = times[0], times[0]
	for _, t := range times[1:] {
		if t.Before(earliest) {
			earliest = t
		}
		if t.After(latest) {
			latest = t
		}
	}
	return earliest.Add(before), latest.Add(after), true
}

var (
	errOtherForm = errors.New("not a form that is known")

	isoDate  = `(\d{4})-(\d{1,2})-(\d{1,2})`
	nameDate = `(\d{1,2})[- ]([A-Za-z]{3,9})[- ](\d{4}|\d{2})`
	clock    = `(?:[Tt ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?)?`
	zoneForm = `\s*([+-]\d{1,2}(?::\d{2}){1,2}|[+-]\d{1,4}|[A-Za-z]{1,10}|[A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2})?`
	timeForm = regexp.MustCompile(`^\s*(?:` + isoDate + `|` + nameDate + `)` + clock + zoneForm + `\s*$`)
)

// parseTime returns the wall clock times that s can mean, and its zone. The error is errOtherForm when s has another form, and
// says what is wrong when the form is known but there is no such time.
func parseTime(s string) (times []time.Time, zone string, err error) {
	m := timeForm.FindStringSubmatch(s)
	if m == nil {
		return nil, "", errOtherForm
	}
	zone = m[11]
	switch strings.ToUpper(zone) {
	case "AM", "PM", "BC", "AD":
		return nil, "", errOtherForm
	}
	if err := checkZone(zone); err != nil {
		return nil, "", err
	}
	tod, err := timeOfDay(m[7], m[8], m[9], m[10])
	if err != nil {
		return nil, "", err
	}
	dates, err := dates(m)
	if err != nil {
		return nil, "", err
	}
	for _, d := range dates {
		times = append(times, d.Add(tod))
	}
	return times, zone, nil
}

func dates(m []string) ([]time.Time, error) {
	if m[1] != "" {
		return oneDate(atoi(m[1]), atoi(m[2]), atoi(m[3]))
	}
	month := monthNumber(m[5])
	if month == 0 {
		return nil, errOtherForm
	}
	if len(m[6]) == 4 {
		return oneDate(atoi(m[6]), month, atoi(m[4]))
	}
	// With a DateStyle of YMD the year comes first.
	list, err := oneDate(century(atoi(m[6])), month, atoi(m[4]))
	if other, otherErr := oneDate(century(atoi(m[4])), month, atoi(m[6])); otherErr == nil && len(m[4]) == 2 {
		list, err = append(list, other...), nil
	}
	return list, err
}

func century(year int) int {
	if year < 70 {
		return 2000 + year
	}
	return 1900 + year
}

func oneDate(year, month, day int) ([]time.Time, error) {
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year < 1 || t.Year() != year || int(t.Month()) != month || t.Day() != day {
		return nil, fmt.Errorf("there is no date %04d-%02d-%02d", year, month, day)
	}
	return []time.Time{t}, nil
}

var monthNames = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

func monthNumber(name string) int {
	name = strings.ToLower(name)
	for i, month := range monthNames {
		if name == month || name == month[:3] || name == "sept" && i == 8 {
			return i + 1
		}
	}
	return 0
}

// timeOfDay accepts 24:00:00 and 60 seconds, as the server does.
func timeOfDay(hour, minute, second, fraction string) (time.Duration, error) {
	h, m, s := atoi(hour), atoi(minute), atoi(second)
	// The server counts microseconds.
	f, _ := strconv.ParseFloat("0"+fraction, 64)
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second +
		time.Duration(math.RoundToEven(f*1e6))*time.Microsecond
	if m > 59 || s > 60 || d > 24*time.Hour {
		return 0, fmt.Errorf("there is no time of day %s:%s:%s", hour, minute, second)
	}
	return d, nil
}

// atoi reads digits that a pattern has matched; "" is 0.
func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// zoneOffset returns a zone's offset east of Greenwich, if it has but one.
func zoneOffset(zone string) (offset time.Duration, exact bool) {
	switch strings.ToUpper(zone) {
	case "":
		return 0, false
	case "Z", "ZULU", "UTC", "UCT", "UT", "GMT":
		return 0, true
	}
	if zone[0] != '+' && zone[0] != '-' {
		return 0, false
	}
	h, m, s := 0, 0, 0
	if parts := strings.Split(zone[1:], ":"); len(parts) > 1 {
		h, m = atoi(parts[0]), atoi(parts[1])
		if len(parts) > 2 {
			s = atoi(parts[2])
		}
	} else if h = atoi(zone[1:]); len(zone) > 3 {
		h, m = h/100, h%100
	}
	offset = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	if zone[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// checkZone refuses offsets that the server takes for none: it knows them up to 15:59:59 (MAX_TZDISP_HOUR).
func checkZone(zone string) error {
	if offset, _ := zoneOffset(zone); offset.Abs() >= 16*time.Hour {
		return fmt.Errorf("there is no time zone %s", zone)
	}
	return nil
}

// The server's MAXDATELEN.
const maxTimeLength = 128

// checkTime refuses what servers refuse, and the keywords, of which some of the oldest releases make the time of their start. What
// has a form that is not known here is left to the server.
func checkTime(s string) error {
	if len(s) > maxTimeLength {
		return fmt.Errorf("target-time has %d bytes, and the server reads up to %d", len(s), maxTimeLength)
	}
	for _, word := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r < 'a' || r > 'z' }) {
		switch word {
		case "now", "today", "tomorrow", "yesterday", "epoch", "infinity", "allballs":
			return fmt.Errorf("target-time %q: %q is not a point in time", s, word)
		}
	}
	if !strings.ContainsAny(s, "0123456789") {
		return fmt.Errorf("target-time %q is not a time", s)
	}
	if _, _, err := parseTime(s); err != nil && !errors.Is(err, errOtherForm) {
		return fmt.Errorf("target-time %q: %w", s, err)
	}
	return nil
}
