module kit.example/kit

go 1.21
