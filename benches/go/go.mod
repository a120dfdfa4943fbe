module goscope.test/subject

go 1.22
