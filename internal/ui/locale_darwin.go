package ui

const noLocaleIsUTF8 = true
