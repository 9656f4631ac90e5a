select xmlelement(name a);
