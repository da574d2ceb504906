package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
)

// A PNG writer for every colour type, bit depth, filter and interlacing, because Go's encoder writes only a few of them.

type pngSpec struct {
	name, pattern     string
	width, height     int
	depth, colourType int
	seed              uint32
	transparent       []byte // the tRNS chunk
	paletteEntries    int
	interlaced        bool
	filter            int // 0..4, or -1: a different one on every row
	idatSize          int // 0: one chunk
}

var channelsOf = map[int]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

var adam7 = [7][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

func (s pngSpec) encode() []byte {
	out := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	header := binary.BigEndian.AppendUint32(nil, uint32(s.width))
	header = binary.BigEndian.AppendUint32(header, uint32(s.height))
	interlace := byte(0)
	if s.interlaced {
		interlace = 1
	}
	chunk(out, "IHDR", append(header, byte(s.depth), byte(s.colourType), 0, 0, interlace))
	if s.colourType == 3 {
		palette := []byte{}
		for i := 0; i < s.paletteEntries; i++ {
			for c := uint32(0); c < 3; c++ {
				palette = append(palette, byte(hash32(s.seed, 10, uint32(i), c)))
			}
		}
		chunk(out, "PLTE", palette)
	}
	if s.transparent != nil {
		chunk(out, "tRNS", s.transparent)
	}
	chunk(out, "tEXt", []byte("Comment\x00golden"))
	raw := &bytes.Buffer{}
	if s.interlaced {
		for _, p := range adam7 {
			s.pass(raw, p[0], p[1], p[2], p[3])
		}
	} else {
		s.pass(raw, 0, 0, 1, 1)
	}
	packed := &bytes.Buffer{}
	z, _ := zlib.NewWriterLevel(packed, 9)
	z.Write(raw.Bytes())
	z.Close()
	data := packed.Bytes()
	for s.idatSize > 0 && len(data) > s.idatSize {
		chunk(out, "IDAT", data[:s.idatSize])
		data = data[s.idatSize:]
	}
	chunk(out, "IDAT", data)
	chunk(out, "IEND", nil)
	return out.Bytes()
}

func chunk(out *bytes.Buffer, kind string, data []byte) {
	binary.Write(out, binary.BigEndian, uint32(len(data)))
	body := append([]byte(kind), data...)
	out.Write(body)
	binary.Write(out, binary.BigEndian, crc32.ChecksumIEEE(body))
}

func (s pngSpec) pass(out *bytes.Buffer, x0, y0, stepX, stepY int) {
	channels := channelsOf[s.colourType]
	bytesPerPixel := max(1, channels*s.depth/8)
	var previous []byte
	for y, row := y0, 0; y < s.height; y, row = y+stepY, row+1 {
		bits, count := []byte{}, 0
		for x := x0; x < s.width; x += stepX {
			for c := 0; c < channels; c++ {
				v := sample16(s.pattern, s.seed, x, y, c, s.width, s.height)
				if s.colourType == 3 {
					v = uint16(uint32(v) * uint32(s.paletteEntries) >> 16)
				} else {
					v >>= 16 - s.depth
				}
				for b := s.depth - 1; b >= 0; b-- {
					if count%8 == 0 {
						bits = append(bits, 0)
					}
					bits[len(bits)-1] |= byte(v>>b&1) << (7 - count%8)
					count++
				}
			}
		}
		if len(bits) == 0 {
			return
		}
		if previous == nil {
			previous = make([]byte, len(bits))
		}
		filter := s.filter
		if filter < 0 {
			filter = row % 5
		}
		out.WriteByte(byte(filter))
		for i := range bits {
			var a, b, c int
			b = int(previous[i])
			if i >= bytesPerPixel {
				a, c = int(bits[i-bytesPerPixel]), int(previous[i-bytesPerPixel])
			}
			predicted := 0
			switch filter {
			case 1:
				predicted = a
			case 2:
				predicted = b
			case 3:
				predicted = (a + b) / 2
			case 4:
				p := a + b - c
				pa, pb, pc := abs(p-a), abs(p-b), abs(p-c)
				predicted = c
				if pa <= pb && pa <= pc {
					predicted = a
				} else if pb <= pc {
					predicted = b
				}
			}
			out.WriteByte(bits[i] - byte(predicted))
		}
		previous = bits
	}
}

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}
