module lab

go 1.21

require kit.example/kit v0.0.0

replace kit.example/kit => ./third_party/kit
